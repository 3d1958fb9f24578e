"""The one way to the API server: raw JSON in and out, every request with a time limit."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import msgspec
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from doorward.errors import ConfigError
from doorward.kube.errors import ApiError, Unreachable
from doorward.kube.resources import Object, Resource

PAGE: Final = 500
"""Objects per page of a list: bounds the server's and our memory."""
CONNECTIONS: Final = 12
"""Requests under way at once; more wait for their turn here instead of in the server."""
REQUEST_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 75.0
"""The server sends a bookmark each minute; a watch that is silent for longer is a dead connection."""

_MERGE: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: list[Object]
    version: str
    """Resource version of the whole list."""


class Client:
    """Requests to one API server. Raises `ApiError` for each answer that is not the wanted one."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        observe: Callable[[str, int], None] | None = None,
        streams: httpx2.AsyncClient | None = None,
    ) -> None:
        self._http = http
        self._streams = streams or http
        self._observe = observe

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give all connections back."""
        await self._http.aclose()
        await self._streams.aclose()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """The object as it is now."""
        return await self._send("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object as it is now, or None where there is none."""
        try:
            return await self.get(resource, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def pages(
        self, resource: Resource, namespace: str | None = None, labels: str | None = None
    ) -> AsyncIterator[Page]:
        """A consistent list, page by page. A 410 in the middle means: begin again."""
        params = {"limit": str(PAGE), "labelSelector": labels}
        path = resource.path(namespace)
        while True:
            answer = await self._send("GET", path, params=params)
            metadata = answer["metadata"]
            yield Page(answer.get("items") or [], metadata["resourceVersion"])
            if not metadata.get("continue"):
                return
            params["continue"] = metadata["continue"]

    async def create(
        self,
        resource: Resource,
        body: Object,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """POST: a new object, or with name and subresource a request like a TokenRequest."""
        return await self._send("POST", resource.path(namespace, name, subresource), body)

    async def apply(
        self, resource: Resource, body: Object, *, manager: str, subresource: str | None = None
    ) -> Object:
        """Server-side apply: the named fields become ours, whoever had them."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        params = {"fieldManager": manager, "force": "true"}
        return await self._send("PATCH", path, body, params=params, media_type=_APPLY)

    async def merge(
        self,
        resource: Resource,
        name: str,
        body: Object,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Object:
        """Merge patch (RFC 7386). With `metadata.resourceVersion` in it: 409 if the object has changed."""
        path = resource.path(namespace, name, subresource)
        return await self._send("PATCH", path, body, media_type=_MERGE)

    async def json_patch(
        self, resource: Resource, name: str, operations: list[Object], namespace: str | None = None
    ) -> Object:
        """JSON patch (RFC 6902); a `test` that fails is a 422."""
        return await self._send("PATCH", resource.path(namespace, name), operations, media_type=_JSON_PATCH)

    async def replace(self, resource: Resource, body: Object, *, subresource: str | None = None) -> Object:
        """PUT: the whole object; 409 when `metadata.resourceVersion` is not the current one."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._send("PUT", path, body)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete; with `uid` only that very object (409 otherwise). An absent one is deleted already."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._send("DELETE", resource.path(namespace, name), options)
        except ApiError as error:
            if not error.not_found:
                raise

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        version: str,
        labels: str | None = None,
        seconds: int = 270,
        silence: float = SILENCE_SECONDS,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes after `version` as `(ADDED|MODIFIED|DELETED|BOOKMARK, object)`.

        Ends when the server ends it, after `seconds` at most. Raises `Unreachable` after `silence`
        seconds without a byte, and `ApiError` with `gone` when the version is too old.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "labelSelector": labels,
        }
        timeout = httpx2.Timeout(REQUEST_SECONDS, read=silence)
        request = self._streams.build_request(
            "GET", resource.path(namespace), params=_given(params), timeout=timeout
        )
        try:
            response = await self._streams.send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise _error(response.status_code, await response.aread(), response.headers)
                async for line in response.aiter_lines():
                    yield _change(line)
            finally:
                await response.aclose()
        except httpx2.HTTPError as error:
            raise Unreachable(f"watching {resource.plural}: {error!r}") from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | None] | None = None,
        media_type: str = "application/json",
    ) -> Object:
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": media_type}
        try:
            response = await self._http.request(
                method, path, params=_given(params or {}), content=content, headers=headers
            )
        except httpx2.HTTPError as error:
            raise Unreachable(f"{method} {path}: {error!r}") from error
        if self._observe is not None:
            self._observe(method, response.status_code)
        if not response.is_success:
            raise _error(response.status_code, response.content, response.headers)
        found: Object = _decoded(response.content)
        return found


def connect(kubeconfig: str | None = None, observe: Callable[[str, int], None] | None = None) -> Client:
    """A client for the cluster this process runs in, or for the current context of a kubeconfig.

    The order is: the argument, the pod's service account, the variable KUBECONFIG. `observe` is
    called with the method and status of each answer. Raises `ConfigError` when there is neither.
    """
    try:
        config = _config(kubeconfig).get()
        if config is None:
            raise ConfigError("the kubeconfig has no current context")
        timeout = httpx2.Timeout(REQUEST_SECONDS)
        params = ConnectionParams(timeout=timeout, trust_env=False).httpx_params(config)
    except (LightkubeConfigError, KeyError, OSError) as error:
        raise ConfigError(f"no access to a cluster: {error}") from error
    # The pool looks at each of its connections for each request, so few are cheaper than many;
    # watches keep theirs for minutes and have a pool of their own.
    few = httpx2.Limits(max_connections=CONNECTIONS, keepalive_expiry=60)
    many = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    return Client(
        httpx2.AsyncClient(**params, limits=few), observe, httpx2.AsyncClient(**params, limits=many)
    )


def _config(kubeconfig: str | None) -> KubeConfig:
    if kubeconfig is not None:
        return KubeConfig.from_file(Path(kubeconfig))
    try:
        return KubeConfig.from_service_account()
    except (LightkubeConfigError, KeyError):
        return KubeConfig.from_file(Path(os.environ["KUBECONFIG"]))


def _given(params: Mapping[str, str | None]) -> dict[str, str]:
    return {key: text for key, text in params.items() if text is not None}


def _change(line: str) -> tuple[str, Object]:
    change = _decoded(line.encode())
    found: Object = change["object"]
    if change["type"] == "ERROR":
        raise ApiError(
            int(found.get("code", 500)), str(found.get("reason", "")), str(found.get("message", ""))
        )
    return str(change["type"]), found


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise Unreachable(f"the answer is no JSON: {error}") from error


def _error(status: int, content: bytes, headers: Mapping[str, str]) -> ApiError:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        found = {}
    known = found if isinstance(found, dict) else {}
    after = headers.get("Retry-After", "")
    return ApiError(
        status,
        str(known.get("reason") or "Unknown"),
        str(known.get("message") or content[:200].decode(errors="replace")),
        float(after) if after.isdecimal() else 0.0,
    )
