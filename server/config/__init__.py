"""What an operator may set, on the command line, in the environment, in a model's `polyserve.yaml`."""
