WEIGHTS = "/mnt/models/weights.npy"
