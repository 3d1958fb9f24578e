"""A stand-in for a cloud's metadata service, so that a pod which reaches it has really got through.

Run as `python -m devcluster.local.metadata` inside the node's namespace.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from devcluster.settings import NETWORK

_BODY = json.dumps(
    {"instance": "doorward-development", "note": "a pod that reads this is not fenced"}
).encode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY)


def main() -> None:
    """Answer every GET with 200 until killed."""
    ThreadingHTTPServer((NETWORK.metadata_ip, 80), _Handler).serve_forever()


if __name__ == "__main__":
    main()
