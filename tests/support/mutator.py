"""A mutating webhook of somebody else: adds what it is told to every pod it is asked about."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from authority import Authority

from devcluster.kubectl import Kubectl
from doorward.serving import Certificates

NAME = "somebody-elses"


@contextmanager
def mutating(
    kubectl: Kubectl, folder: Path, patch: list[dict[str, Any]], host: str = "127.0.0.1"
) -> Iterator[None]:
    """While the context lasts, every new pod of an enrolled namespace is changed by `patch` (RFC 6902).

    `host` is an address of this machine at which the API server reaches it.
    """
    authority = Authority(folder)
    server = ThreadingHTTPServer((host, 0), _handler(patch))
    certificates: Certificates = authority.server("mutator", host)
    server.socket = certificates.context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        kubectl.apply(_configuration(f"https://{host}:{server.server_address[1]}/", authority.bundle))
        yield
    finally:
        kubectl("delete", "mutatingwebhookconfiguration", NAME)
        server.shutdown()
        server.server_close()


def _configuration(url: str, bundle: str) -> dict[str, Any]:
    webhook = {
        "name": "mutator.example.org",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(bundle.encode()).decode()},
        "namespaceSelector": {"matchLabels": {"doorward.dev/enforced": "true"}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [webhook],
    }


def _handler(patch: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    encoded = base64.b64encode(json.dumps(patch).encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one review."""
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = {
                "uid": review["request"]["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": encoded,
            }
            body = json.dumps({**review, "request": None, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing to say."""

    return Handler
