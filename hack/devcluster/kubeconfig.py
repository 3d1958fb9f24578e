"""Kubeconfig files: how a program finds and proves itself to the API server."""

import base64
from pathlib import Path

import yaml

from devcluster.pki import Pair


def write(path: Path, server: str, ca: Path, client: Pair) -> Path:
    """Write a kubeconfig with everything inside, so that the file can be copied elsewhere. Mode 0600."""
    user = {"client-certificate-data": _encoded(client.cert), "client-key-data": _encoded(client.key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "doorward",
        "clusters": [
            {"name": "doorward", "cluster": {"server": server, "certificate-authority-data": _encoded(ca)}}
        ],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "doorward", "context": {"cluster": "doorward", "user": "user"}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
