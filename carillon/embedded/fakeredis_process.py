"""`python -m carillon.embedded.fakeredis_process PORT`: fakeredis in the place of a Redis server."""

import sys

from fakeredis import TcpFakeServer


def main() -> None:
    """Serve until the process is ended."""
    server = TcpFakeServer(("127.0.0.1", int(sys.argv[1])), server_type="redis")
    server.serve_forever()


if __name__ == "__main__":
    main()
