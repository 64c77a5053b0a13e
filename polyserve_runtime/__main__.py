"""`python -m polyserve_runtime`, and the command `polyserve`."""

from server.__main__ import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
