"""Utilities of TorchServe's handlers."""
