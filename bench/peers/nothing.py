"""A FastAPI route that does nothing: what FastAPI alone costs."""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/nothing")
async def nothing() -> dict[str, str]:
    """Read nothing, do nothing."""
    return {}


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http_port", type=int, required=True)
    uvicorn.run(app, port=parser.parse_args().http_port, loop="uvloop", http="httptools", access_log=False)


if __name__ == "__main__":
    main()
