"""One queue a model, and when, where and with whom its requests run."""
