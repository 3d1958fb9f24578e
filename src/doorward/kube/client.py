"""The one way to the API server: raw JSON in and out, every request with a time limit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from doorward.kube import access, sockets
from doorward.kube.access import Access, ActingAs
from doorward.kube.errors import ApiError, Unreachable
from doorward.kube.resources import Object, Resource

PAGE: Final = 500
"""Objects per page of a list: bounds the server's and our memory."""
CONNECTIONS: Final = 12
"""Requests under way at once; more wait for their turn here instead of in the server."""
REQUEST_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 75.0
"""The server sends a bookmark each minute; a watch that is silent for longer is a dead connection."""

_BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""What tells that there was no answer, or half of one."""
_JSON: Final = "application/json"
_BARE: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
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

    def __init__(self, access: Access, observe: Callable[[str, int], None] | None = None) -> None:
        self._access = access
        self._observe = observe
        self.namespace = access.namespace
        """The namespace that the kubeconfig's context names, or the pod's own."""
        self._open: tuple[aiohttp.ClientSession, aiohttp.ClientSession] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give all connections back."""
        sessions, self._open = self._open, None
        for session in sessions or ():
            await session.close()

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

    async def serves(self, resource: Resource) -> bool:
        """Whether the server has such a resource: custom ones are there where somebody installed them."""
        parts = ("apis", resource.group, resource.version) if resource.group else ("api", resource.version)
        try:
            found = await self._send("GET", "/" + "/".join(parts))
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return any(item["name"] == resource.plural for item in found.get("resources", ()))

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        labels: str | None = None,
        *,
        bare: bool = False,
    ) -> AsyncIterator[Page]:
        """A consistent list, page by page. A 410 in the middle means: begin again.

        With `bare` the server sends nothing but `metadata`: who only asks what there is need not hold
        what is in it.
        """
        params = {"limit": str(PAGE), "labelSelector": labels}
        path = resource.path(namespace)
        while True:
            answer = await self._send("GET", path, params=params, accept=_BARE if bare else _JSON)
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
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes after `version` as `(ADDED|MODIFIED|DELETED|BOOKMARK, object)`.

        `opened` is told once the server has begun to answer, which may be long before the first change.
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
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=silence)
        _, streams = self._sessions()
        url = self._url(resource.path(namespace), params)
        try:
            async with streams.get(
                url, headers=await self._headers(), timeout=timeout, allow_redirects=False
            ) as response:
                try:
                    if response.status != 200:
                        raise _error(response.status, await response.read(), response.headers)
                    opened()
                    async for line in _lines(response.content):
                        yield _change(line)
                finally:
                    _hang_up(response)
        except _BROKEN as error:
            raise Unreachable(f"watching {resource.plural}: {error!r}") from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | None] | None = None,
        media_type: str = _JSON,
        accept: str = _JSON,
    ) -> Object:
        content = None if body is None else msgspec.json.encode(body)
        url = self._url(path, params or {})
        kinds = {"Content-Type": media_type, "Accept": accept}
        try:
            status, answer, headers = await self._exchange(method, url, content, kinds)
            if status == 401:  # not carried out; the token may have been replaced meanwhile
                status, answer, headers = await self._exchange(method, url, content, kinds, anew=True)
        except _BROKEN as error:
            raise Unreachable(f"{method} {path}: {error!r}") from error
        if self._observe is not None:
            self._observe(method, status)
        if not 200 <= status < 300:
            raise _error(status, answer, headers)
        found: Object = _decoded(answer)
        return found

    async def _exchange(
        self, method: str, url: URL, content: bytes | None, kinds: Mapping[str, str], *, anew: bool = False
    ) -> tuple[int, bytes, Mapping[str, str]]:
        requests, _ = self._sessions()
        headers = await self._headers(anew=anew)
        headers.update(kinds)
        if content is None:
            del headers["Content-Type"]
        async with requests.request(
            method, url, data=content, headers=headers, allow_redirects=False
        ) as response:
            return response.status, await response.read(), response.headers

    async def _headers(self, *, anew: bool = False) -> CIMultiDict[str]:
        """Uncompressed on purpose: within a cluster that costs more than it saves."""
        authorization = await self._access.credentials.header(anew=anew)
        headers = CIMultiDict({"Accept": _JSON, "Accept-Encoding": "identity"})
        if authorization:
            headers["Authorization"] = authorization
        headers.extend(self._access.acting.headers() if self._access.acting else [])
        return headers

    def _url(self, path: str, params: Mapping[str, str | None]) -> URL:
        given = {key: text for key, text in params.items() if text is not None}
        return URL(self._access.server + path + (f"?{urlencode(given)}" if given else ""), encoded=True)

    def _sessions(self) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        """One for requests, with few connections, and one for watches, which keep theirs for minutes."""
        if self._open is None:
            tls = self._access.tls
            requests = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls, keepalive_timeout=60)
            streams = aiohttp.TCPConnector(
                limit=0, ssl=tls, force_close=True, socket_factory=sockets.attentive
            )
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            self._open = (
                aiohttp.ClientSession(connector=requests, timeout=timeout, auto_decompress=False),
                aiohttp.ClientSession(connector=streams, auto_decompress=False),
            )
        return self._open


def connect(
    kubeconfig: str | None = None,
    observe: Callable[[str, int], None] | None = None,
    *,
    context: str | None = None,
    acting: ActingAs | None = None,
) -> Client:
    """A client for the cluster this process runs in, or for a context of a kubeconfig.

    The order is: the argument, the pod's service account, the variable KUBECONFIG; the context is the
    current one if it is not named. `observe` is called with the method and status of each answer.
    `acting` is impersonation, as the kubeconfig may name it too. Raises `ConfigError` when there is no
    access.
    """
    return Client(access.load(kubeconfig, context, acting), observe)


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Without TLS's farewell: whoever does not answer any more would hold the socket for 30 s with it."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Complete lines of any length; what is cut off by the end is no line."""
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line


def _change(line: bytes) -> tuple[str, Object]:
    change = _decoded(line)
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
