"""From a directory or an address to a loaded adapter."""
