"""What the agent sees on loopback: its task, its actions, and the way to carry them out."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from doorward import catalogue
from doorward.catalogue import Catalogue
from doorward.core import scrub
from doorward.core.scrub import Scrubber
from doorward.core.strictjson import JsonObject
from doorward.door import native
from doorward.door.broker import Broker
from doorward.door.hands import Hands, Result
from doorward.door.native import RECEIPT_HEADER, Mount
from doorward.door.seats import Seats
from doorward.door.session import Connector, Session
from doorward.errors import Code, Refusal
from doorward.serving import App, Limits, Request, Route, answers
from doorward.serving import app as serving_app

MAX_BODY: Final = 1_000_000
"""Bytes of a request; a larger one is refused whole. Leaves room for what broker and connector add."""

_LIMITS: Final = Limits(body_bytes=MAX_BODY, handle_seconds=90.0, connections=256, connections_per_peer=256)
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(slots=True)
class Door:
    """The open door of one session. Headers of a request are never passed on, to anyone."""

    session: Session
    broker: Broker
    hands: Hands
    closed: Refusal | None = None
    """Once set, the answer to everything."""
    scrubber: Scrubber = field(default_factory=scrub.scrubber)

    def close(self, refusal: Refusal) -> None:
        """Refuse everything from now on; the first reason stays."""
        self.closed = self.closed or refusal

    def check_open(self) -> None:
        """Raise the reason when the door is closed."""
        if self.closed is not None:
            raise self.closed

    async def typed(self, connector: str, action: str, args: JsonObject) -> Result:
        """Carry out one action. Raises `Refusal` of broker, connector or this door."""
        self.check_open()
        decision = await self.broker.decide(connector, action, args)
        found = self.session.connectors.get(connector)
        if found is None:
            raise _no_connector(connector, self.session)
        self.check_open()
        return await self.hands.act(found, action, args, decision)


def door_app(door: Door) -> App:
    """The listener for the agent."""
    handlers, doing, looking = _Handlers(door), Seats(), Seats()
    return serving_app(
        [
            Route("GET", "/v1/task", looking.of(handlers.task)),
            Route("GET", "/v1/actions", looking.of(handlers.actions)),
            Route("POST", "/v1/actions/{connector}/{action}", doing.of(handlers.act)),
            Route("*", "/v1/requests/{rest+}", handlers.requests, media_type=None),
            Route("*", "/via/{connector}/{rest+}", doing.of(handlers.via), media_type=None),
        ],
        _LIMITS,
    )


class _Handlers:
    """One method per route."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def task(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        return answers.json(self._door.session.task)

    async def actions(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        return answers.json(await self._door.broker.actions())

    async def requests(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        raise Refusal(
            Code.UNKNOWN_ACTION,
            "no request is waiting under this name",
            allowed="requests that wait for an approval",
        )

    async def act(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        args = request.json()
        result = await self._door.typed(request.params["connector"], request.params["action"], args)
        receipt = {RECEIPT_HEADER: native.receipt(result.receipt)}
        if result.status >= 300:
            response = answers.problem(_upstream_refused(result, self._door.scrubber))
            response.headers.update(receipt)
            return response
        shown = {"result": self._door.scrubber.json(result.body), "receipt": dict(result.receipt)}
        return answers.json(shown, headers=receipt)

    async def via(self, request: Request) -> web.StreamResponse:
        host = self._enter(request)
        connector = self._connector(request.params["connector"])
        vocabulary = _vocabulary(connector)
        place = f"/via/{connector.name}"
        call = catalogue.translate(vocabulary, request.method, request.target[len(place) :], request.body)
        result = await self._door.typed(connector.name, call.action, call.args)
        here = f"http://{host}{place}{_prefix(vocabulary, request.target[len(place) :])}"
        return self._native(result, Mount(result.base, here))

    def _native(self, result: Result, mount: Mount) -> web.Response:
        shown = native.headers(result.headers, mount, self._door.scrubber)
        shown[RECEIPT_HEADER] = native.receipt(result.receipt)
        if result.body is None:
            return web.Response(status=result.status, headers={**answers.HEADERS, **shown})
        return answers.json(
            native.body(self._door.scrubber.json(result.body), mount), result.status, headers=shown
        )

    def _enter(self, request: Request) -> str:
        """The Host that the agent called us by. Raises `Refusal` when closed or called by another's name."""
        self._door.check_open()
        host = request.headers.get("Host", "")
        transport = request.transport.transport
        port = transport.get_extra_info("sockname")[1] if transport else None
        if host not in {f"{name}:{port}" for name in _LOCAL_NAMES}:
            raise Refusal(Code.MALFORMED, "Host names somebody else", allowed=f"127.0.0.1:{port}", status=421)
        return host

    def _connector(self, name: str) -> Connector:
        found = self._door.session.connectors.get(name)
        if found is None:
            raise _no_connector(name, self._door.session)
        return found


def check_loopback(host: str) -> None:
    """Raise `ValueError` unless the address is a loopback one: the door serves its own pod only."""
    if not ipaddress.ip_address(host).is_loopback:
        msg = f"{host} is not a loopback address"
        raise ValueError(msg)


def _vocabulary(connector: Connector) -> Catalogue:
    found = catalogue.load(connector.type)
    if found.hash != connector.catalogue_hash:
        raise Refusal(
            Code.UNAVAILABLE,
            "this door and the connector were built with different vocabularies",
            allowed="typed actions",
            ask="the platform team must bring both to one version",
        )
    return found


def _prefix(vocabulary: Catalogue, target: str) -> str:
    prefixes = ("/" + "/".join(prefix) for prefix in vocabulary.prefixes)
    return next((prefix for prefix in prefixes if target.startswith(prefix + "/")), "")


def _no_connector(name: str, session: Session) -> Refusal:
    return Refusal(
        Code.UNKNOWN_ACTION,
        f"there is no connector {name!r} for this task",
        allowed=", ".join(sorted(session.connectors)) or "none",
        ask="GET /v1/actions lists what exists for this task",
    )


def _upstream_refused(result: Result, scrubber: Scrubber) -> Refusal:
    said = result.body.get("message") if isinstance(result.body, Mapping) else None
    detail = f"the upstream answered {result.status}"
    if isinstance(said, str) and said:
        detail += f": {scrubber.text(said)[:200]}"
    decision = result.receipt.get("decision")
    return Refusal(Code.UPSTREAM_REFUSED, detail, decision=decision if isinstance(decision, str) else None)
