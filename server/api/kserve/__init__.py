"""KServe, the frame: what of it is imported, patched or replaced is here and nowhere else."""
