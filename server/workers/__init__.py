"""Models in processes of their own."""
