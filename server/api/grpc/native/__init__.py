"""gRPC over HTTP/2 of our own (`server.api.http2`): calls, their heads and messages, and the server."""
