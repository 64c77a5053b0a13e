"""One loaded model, one request: decode, wait, call, encode."""
