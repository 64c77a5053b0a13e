"""What the machine does at best: a thread that receives, looks at nothing, and sends a constant answer."""

from __future__ import annotations

import argparse
import socket

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http_port", type=int, required=True)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", options.http_port)) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                _answer(connection)


def _answer(connection: socket.socket) -> None:
    """What is sent on it, piece by piece: a request of one connection's load is one."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while connection.recv(65536):
            connection.sendall(ANSWER)
    except ConnectionError:  # it is reset at the end of a load
        return


if __name__ == "__main__":
    main()
