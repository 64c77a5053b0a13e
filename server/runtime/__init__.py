"""The process and the operating system. Knows no model."""
