"""Plain requests to an API server as anybody: an administrator's certificate and impersonation."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

IDLE_SECONDS = 30
"""An API server hangs up on connections that were quiet for 90 s."""


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    document: Any

    @property
    def message(self) -> str:
        """The sentence of a refusal."""
        return str(self.document.get("message", ""))


class Api:
    """One connection."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        raw = yaml.safe_load(kubeconfig.read_text())
        cluster, user = raw["clusters"][0]["cluster"], raw["users"][0]["user"]
        pair = folder / "client.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(
            base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
        )
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._tls.load_cert_chain(pair)
        address = urlsplit(cluster["server"])
        self._host, self._port = str(address.hostname), address.port
        self._connection = self._connect()
        self._used = time.monotonic()

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "",
        groups: Sequence[str] = (),
        media_type: str = "application/json",
    ) -> Answer:
        """One request; as `user` where one is named."""
        headers = {"Content-Type": media_type, "Accept": "application/json"}
        if user:
            headers |= {"Impersonate-User": user}
        content = None if body is None else json.dumps(body)
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._renew()
        try:
            self._connection.putrequest(method, path)
            for name, value in headers.items():
                self._connection.putheader(name, value)
            for group in groups:
                self._connection.putheader("Impersonate-Group", group)
            if content is not None:
                self._connection.putheader("Content-Length", str(len(content.encode())))
            self._connection.endheaders(content.encode() if content else None)
            response = self._connection.getresponse()
            self._used = time.monotonic()
            return Answer(response.status, _read(response.read()))
        except (http.client.HTTPException, OSError):
            self._renew()
            raise

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _renew(self) -> None:
        self._connection.close()
        self._connection = self._connect()
        self._used = time.monotonic()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=15)


def _read(body: bytes) -> Any:
    """JSON, or what little an error without JSON says."""
    try:
        return json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace")}
