"""HTTP/2 without I/O, and without a word of what is carried: frames, HPACK, windows, floods, one connection."""
