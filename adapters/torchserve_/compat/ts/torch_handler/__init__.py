"""TorchServe's default handlers, and the base classes of custom ones."""
