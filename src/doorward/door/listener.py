"""What the agent sees on loopback: its task, its actions, and the way to carry them out."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from aiohttp import web

from doorward import catalogue
from doorward.catalogue import Catalogue
from doorward.core import scrub
from doorward.core.scrub import Scrubber
from doorward.core.strictjson import JsonObject
from doorward.door import claims, native
from doorward.door.broker import NOTHING, Broker, Decision
from doorward.door.hands import Hands, Result
from doorward.door.native import RECEIPT_HEADER, Mount
from doorward.door.parking import Lot, Parked
from doorward.door.seats import Seats
from doorward.door.session import Connector, Session
from doorward.door.standing import ENDING, OVER, Pending
from doorward.errors import Code, Refusal
from doorward.serving import App, Limits, Request, Route, answers
from doorward.serving import app as serving_app

MAX_BODY: Final = 1_000_000
"""Bytes of a request; a larger one is refused whole. Leaves room for what broker and connector add."""

_LIMITS: Final = Limits(body_bytes=MAX_BODY, handle_seconds=90.0, connections=256, connections_per_peer=256)
_WAITING: Final = 5
"""Answers that are held back at the same time: one for each Grant that a task may have pending, and few
enough to leave connections to the broker for everything else."""
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(slots=True)
class Door:
    """The open door of one session. Headers of a request are never passed on to a connector."""

    session: Session
    broker: Broker
    hands: Hands
    closed: Refusal | None = None
    """Once set, the answer to everything."""
    scrubber: Scrubber = field(default_factory=scrub.scrubber)
    lot: Lot = field(default_factory=Lot)

    def close(self, refusal: Refusal) -> None:
        """Refuse everything from now on; the first reason stays."""
        self.closed = self.closed or refusal

    def check_open(self) -> None:
        """Raise the reason when the door is closed."""
        if self.closed is not None:
            raise self.closed

    async def typed(
        self, connector: str, action: str, args: JsonObject, claim: JsonObject = NOTHING
    ) -> Result:
        """Carry out one action. Raises `Refusal` of broker, connector or door, `Waiting` if it is parked."""
        self.check_open()
        try:
            decision = await self.broker.decide(connector, action, args, claim)
        except Pending as pending:
            raise Waiting(pending, self.lot.park(connector, action, args, pending.standing)) from None
        return await self._carry_out(connector, action, args, decision)

    async def run(self, parked: Parked) -> Result:
        """Ask for a parked action again, with the arguments that are kept. Raises `Refusal`."""
        self.check_open()
        args = parked.args
        try:
            decision = await self.broker.decide(parked.connector, parked.action, args)
        except Pending as pending:
            self.lot.update(parked, pending.standing)
            pending.status = 409
            raise
        except Refusal as refusal:
            if state := ENDING.get(refusal.code):
                self.lot.update(parked, replace(parked.standing, state=state))
            raise
        try:
            result = await self._carry_out(parked.connector, parked.action, args, decision)
        except Refusal as refusal:
            if refusal.code is not Code.UNAVAILABLE:  # then nothing was executed, and it may be run again
                self.lot.update(parked, replace(parked.standing, state="exhausted"))
            raise
        self.lot.update(parked, replace(parked.standing, state="exhausted"))
        return result

    async def _carry_out(self, connector: str, action: str, args: JsonObject, decision: Decision) -> Result:
        found = self.session.connectors.get(connector)
        if found is None:
            raise _no_connector(connector, self.session)
        self.check_open()
        return await self.hands.act(found, action, args, decision)


class Waiting(Refusal):
    """The no while people have not answered, with the place where the request waits."""

    def __init__(self, pending: Pending, parked: Parked) -> None:
        super().__init__(
            pending.code,
            pending.detail,
            rule=pending.rule,
            allowed=pending.allowed,
            ask=f"{pending.ask or 'wait for an approval'}; GET {parked.location} says how it stands",
            decision=pending.decision,
            members=pending.members,
        )
        self.parked = parked


def door_app(door: Door) -> App:
    """The listener for the agent."""
    handlers, doing, looking, waiting = _Handlers(door), Seats(), Seats(), Seats(_WAITING)
    return serving_app(
        [
            Route("GET", "/v1/task", looking.of(handlers.task)),
            Route("GET", "/v1/actions", looking.of(handlers.actions)),
            Route("POST", "/v1/actions/{connector}/{action}", doing.of(handlers.act)),
            Route("POST", "/v1/escalations", doing.of(handlers.escalate)),
            Route("GET", "/v1/requests/{id}", waiting.of(handlers.request)),
            Route("POST", "/v1/requests/{id}/run", doing.of(handlers.run)),
            Route("GET", "/v1/tasks", looking.of(handlers.children)),
            Route("POST", "/v1/tasks", doing.of(handlers.start_child)),
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

    async def children(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        return answers.json(await self._door.broker.children())

    async def start_child(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        return answers.json(await self._door.broker.start_child(request.json()), 201)

    async def act(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        claim = claims.reason(request.headers)
        return await self._typed(request.params["connector"], request.params["action"], request.json(), claim)

    async def escalate(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        asked = claims.escalation(request.json())
        claim = {**claims.reason(request.headers), **asked.claim}
        return await self._typed(asked.connector, asked.action, asked.args, claim)

    async def request(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        parked = self._door.lot.find(request.params["id"])
        if parked.over:
            self._door.lot.forget(parked)  # told once more, and that was the last time
            return answers.json(parked.document())
        standing = await self._door.broker.grant(parked.standing.grant, claims.wait(request.headers))
        self._door.check_open()
        self._door.lot.update(parked, standing)
        return answers.json(parked.document())

    async def run(self, request: Request) -> web.StreamResponse:
        self._enter(request)
        if request.body and request.json():
            raise Refusal(Code.MALFORMED, "a parked request is run as it was sent", allowed="no body")
        parked = self._door.lot.find(request.params["id"])
        if parked.over:
            self._door.lot.forget(parked)
            raise _over(parked)
        return self._done(await self._door.run(parked))

    async def _typed(
        self, connector: str, action: str, args: JsonObject, claim: JsonObject
    ) -> web.StreamResponse:
        try:
            return self._done(await self._door.typed(connector, action, args, claim))
        except Waiting as waiting:
            parked = waiting.parked
            return answers.json(parked.document(), 202, headers={"Location": parked.location})

    def _done(self, result: Result) -> web.StreamResponse:
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
        claim = claims.reason(request.headers)
        try:
            result = await self._door.typed(connector.name, call.action, call.args, claim)
        except Waiting as waiting:
            response = answers.problem(waiting)
            response.headers["Location"] = waiting.parked.location
            return response
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


def _over(parked: Parked) -> Refusal:
    standing = parked.standing
    return Refusal(
        OVER[standing.state],
        f"Grant {standing.grant} is {standing.state}, so nothing more can come of this request",
        ask="ask for the action again if it is still wanted",
    )


def _upstream_refused(result: Result, scrubber: Scrubber) -> Refusal:
    said = result.body.get("message") if isinstance(result.body, Mapping) else None
    detail = f"the upstream answered {result.status}"
    if isinstance(said, str) and said:
        detail += f": {scrubber.text(said)[:200]}"
    decision = result.receipt.get("decision")
    return Refusal(Code.UPSTREAM_REFUSED, detail, decision=decision if isinstance(decision, str) else None)
