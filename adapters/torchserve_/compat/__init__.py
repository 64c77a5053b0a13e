"""What TorchServe's handlers import: see `ts`."""
