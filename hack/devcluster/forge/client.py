"""A small client of the forge's API, for seeding and for tests."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class ForgeError(RuntimeError):
    """The forge refused. `status` is the HTTP status, the message its explanation."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ForgeClient:
    """JSON calls below `/api/v1` as one account: `credential` is a token or `name:password`."""

    def __init__(self, url: str, ca: Path, credential: str) -> None:
        self._base = f"{url}/api/v1"
        self._ssl = ssl.create_default_context(cafile=str(ca))
        encoded = base64.b64encode(credential.encode()).decode()
        self._header = f"Basic {encoded}" if ":" in credential else f"token {credential}"

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request; the answer's JSON, or None where there is no content.

        Raises:
            ForgeError: For every status from 400 upwards.
            OSError: When the forge cannot be reached.

        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, method=method)  # noqa: S310 - https
        request.add_header("Authorization", self._header)
        request.add_header("Content-Type", "application/json")
        # No proxy from the environment: the forge is on this machine.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._ssl)
        )
        try:
            with opener.open(request, timeout=20) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            raise ForgeError(error.code, error.read().decode(errors="replace")[:500]) from error
        return json.loads(content) if content else None

    def ensure(self, method: str, path: str, body: Any = None) -> Any:
        """The same, except that "exists already" (409, 422) is an answer: None."""
        try:
            return self(method, path, body)
        except ForgeError as error:
            if error.status in {409, 422}:
                return None
            raise
