"""A file is loaded in a child process before the server loads it: a broken model never stops the others."""
