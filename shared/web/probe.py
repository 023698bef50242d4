"""`python -S -m shared.web.probe PORT`: the health check of a container; ends with 0 where /health is 200.

It runs every few seconds for as long as a service does, so it imports next to nothing: with -S (which leaves
out the installed packages) it takes a hundredth of a second, where an HTTP client would take ten.
"""

import socket
import sys

_TIMEOUT_S = 3.0
_LONGEST_STATUS_LINE = 64


def is_healthy(port: int) -> bool:
    """Whether a service on this machine answers at `port` as one that is alive."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while len(answer) < _LONGEST_STATUS_LINE and (part := connection.recv(_LONGEST_STATUS_LINE)):
                answer += part
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


if __name__ == "__main__":
    sys.exit(0 if is_healthy(int(sys.argv[1])) else 1)
