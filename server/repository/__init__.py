"""Which models there are, and in what state: loading, ready, evicted, gone."""
