"""The listener for doors: sessions, the fence, actions, decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from doorward import serving
from doorward.broker.canaries import Canaries
from doorward.broker.children import Children
from doorward.broker.conduct import Conduct, standing_of
from doorward.broker.decisions import Decider
from doorward.broker.facts import Facts
from doorward.broker.heartbeat import Heartbeat
from doorward.broker.metrics import Metrics
from doorward.broker.opening import Claimed, Opener, seconds_of
from doorward.broker.people import parse_wait
from doorward.broker.places import Places
from doorward.broker.sessions import Open, Sessions
from doorward.core import duration
from doorward.core.clock import Clock
from doorward.core.grade import Cause
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.ledger import Ledger
from doorward.render import connectors_of
from doorward.serving import Buckets, Request, Route
from doorward.telemetry import log
from doorward.telemetry.events import Event
from doorward.tokens.keys import SigningKeys

_LOG: Final = log.get(__name__)
_AGAIN_SECONDS: Final = 0.5
_BREACH_SECONDS: Final = 2.0
"""How long a door waits for its breach to be written down; what it asks for is refused from the first."""
MAX_TOKEN: Final = 8192
MAX_PROBES: Final = 64


@dataclass
class Doors:
    """Handlers of the listener."""

    sessions: Sessions
    opener: Opener
    decider: Decider
    kin: Children
    ledger: Ledger
    facts: Facts
    heartbeat: Heartbeat
    canaries: Canaries
    places: Places
    metrics: Metrics
    keys: Callable[[], SigningKeys]
    clock: Clock
    openings: Buckets
    peers: Buckets
    calls: Buckets
    conduct: Conduct
    _writing: set[asyncio.Future[None]] = field(default_factory=set)

    def routes(self) -> list[Route]:
        """What the listener serves besides the public documents."""
        return [
            Route("POST", "/v1/sessions", self.open),
            Route("POST", "/v1/fence", self.fence),
            Route("GET", "/v1/canaries", self.show_canaries),
            Route("GET", "/v1/actions", self.actions),
            Route("POST", "/v1/decisions", self.decide),
            Route("GET", "/v1/grants/{name}", self.grant),
            Route("GET", "/v1/tasks", self.children),
            Route("POST", "/v1/tasks", self.start_child),
        ]

    async def open(self, request: Request) -> web.StreamResponse:
        """`POST /v1/sessions`: open the session of the pod that the token is bound to."""
        self._take(self.openings, request.peer, request.peer)
        try:
            document = await self._open(request)
        except Refusal as refusal:
            self.metrics.opened(refusal.code.value)
            raise
        self.metrics.opened()
        return serving.json(document, status=201)

    async def fence(self, request: Request) -> web.StreamResponse:
        """`POST /v1/fence`: what the door's probes found; one that got through freezes the task."""
        opened = await self._authenticate(request)
        probes = parse_probes(request.json())
        through = [probe["name"] for probe in probes if not probe["blocked"]]
        if through:
            await self._breached(opened, through)
        came = self.sessions.monotonic()
        await self._heard(probes)
        if not opened.fence_proven:
            names = sorted({str(probe["name"]) for probe in probes})
            await self.ledger.record(
                Event.FENCE_PROVEN, opened.session.task_uid, session=opened.session.id, probes=names
            )
            opened.fence_proven = True
        opened.fenced_at = came
        if self.ledger.shared:
            await self.ledger.fence(opened.session.id, self.clock() - (self.sessions.monotonic() - came))
        return serving.empty()

    async def show_canaries(self, request: Request) -> web.StreamResponse:
        """`GET /v1/canaries`: which canaries live at this moment."""
        await self._authenticate(request)
        return serving.json({"canaries": self.canaries.document()})

    async def actions(self, request: Request) -> web.StreamResponse:
        """`GET /v1/actions`: what exists for this task."""
        opened = await self._authenticate(request)
        self.heartbeat.check()
        return serving.json({"actions": await self.decider.actions(opened)})

    async def decide(self, request: Request) -> web.StreamResponse:
        """`POST /v1/decisions`: a capability for one action, or the no."""
        opened = await self._authenticate(request)
        self.heartbeat.check()
        self.sessions.check_fence(opened)
        return serving.json(await self.decider.decide(opened, request.json(), self.keys()))

    async def grant(self, request: Request) -> web.StreamResponse:
        """`GET /v1/grants/{name}?wait=`: how a Grant of this task stands, at once or when that changes."""
        opened = await self._authenticate(request)
        wait = parse_wait(request.query)
        return serving.json(await self.decider.people.standing(opened, request.params["name"], wait))

    async def children(self, request: Request) -> web.StreamResponse:
        """`GET /v1/tasks`: the tasks that this task has started."""
        opened = await self._authenticate(request)
        return serving.json({"tasks": self.kin.show(opened)})

    async def start_child(self, request: Request) -> web.StreamResponse:
        """`POST /v1/tasks`: start a child task, or the no."""
        opened = await self._authenticate(request)
        self.heartbeat.check()
        self.sessions.check_fence(opened)
        return serving.json(await self.kin.start(opened, request.json()), status=201)

    async def _authenticate(self, request: Request) -> Open:
        self._take(self.peers, request.peer, request.peer)
        proof = self.sessions.verified(request)
        if self.ledger.shared:
            known = await self.ledger.attend(proof.session or "", proof.thumbprint, request.peer, proof.nonce)
            if self.sessions.meet(known, self.clock()):
                self.conduct.forget(known.session.task_uid)
            told = standing_of(known.grade, known.cause, known.story, known.graded_until)
            self.conduct.hear(known.session.task_uid, told)
        opened = self.sessions.authenticate(proof, request.peer)
        cost = self.conduct.cost(opened.session.task_uid)
        self._take(self.calls, opened.session.id, request.peer, cost)
        return opened

    def _take(self, bucket: Buckets, key: str, peer: str, cost: float = 1.0) -> None:
        """Take from a bucket; who finds it empty is counted, before a signature or anybody else is asked.

        By its address: whoever calls from a pod, without its door's key too, calls for the pod's task.
        """
        try:
            bucket.take(key, self.clock(), cost)
        except Refusal:
            task = self.sessions.task_at(peer)
            if task is not None:
                self.conduct.burst(task)
            raise

    async def _open(self, request: Request) -> dict[str, Json]:
        proof = self.sessions.prove(request)
        token = parse_token(request.json())
        self.heartbeat.check()
        claimed = await self.opener.identify(token, request.peer)
        if self.ledger.shared:
            await self.ledger.use_proof(proof.thumbprint, proof.nonce)
        found = claimed.task
        if self.facts.is_revoked(found.metadata.namespace, found.metadata.name, found.spec.role):
            raise Refusal(Code.REVOKED, "the task was revoked", ask="a person has to apply a new task")
        try:
            opened = await self.opener.open(claimed, proof.thumbprint, request.peer)
        except Refusal as refusal:
            if refusal.code is Code.TASK_FROZEN:
                cause = await asyncio.to_thread(self.ledger.reader.cause, found.metadata.uid)
                self.sessions.freeze(found.metadata.uid, refusal.detail, cause)
                self.sessions.written(found.metadata.uid)
                self.metrics.froze()
            raise
        self.sessions.add(opened.session, claimed.role, opened.replaced)
        return {
            "session": opened.session.id,
            "task": task_document(claimed),
            "connectors": await self._connectors(claimed),
            "canaries": self.canaries.document(),
        }

    async def _connectors(self, claimed: Claimed) -> list[Json]:
        found = connectors_of(claimed.role, self.facts.connectors)
        return [await self.places.document(connector) for connector in found]

    async def _heard(self, probes: Sequence[Mapping[str, Any]]) -> None:
        """Return when these include a canary that answers us; what is dead seems blocked to everybody."""
        silent = await self.canaries.silent(
            {(probe["name"], probe["host"], probe["port"], probe["protocol"]) for probe in probes}
        )
        if silent:
            raise Refusal(
                Code.UNAVAILABLE,
                f"no canary that answers was among the blocked probes: {', '.join(silent)}",
                ask="probe the canaries anew and report again",
            )

    async def _breached(self, opened: Open, through: Sequence[Json]) -> None:
        uid, names = opened.session.task_uid, ", ".join(str(name) for name in through)
        reason = f"the pod reached what it must not reach: {names}"
        self.sessions.freeze(uid, reason, Cause.FENCE_BREACH)  # before the ledger, which may fail
        self.metrics.froze()
        facts = {"session": opened.session.id, "probes": [str(name) for name in through]}
        writing = asyncio.ensure_future(self._write_breach(uid, reason, facts))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.wait({writing}, timeout=_BREACH_SECONDS)
        raise Refusal(Code.TASK_FROZEN, reason, ask="the platform team has to look at the fence")

    async def _write_breach(self, uid: str, reason: str, facts: Mapping[str, Json]) -> None:
        await _until_written(lambda: self.ledger.freeze(uid, reason, Cause.FENCE_BREACH))
        self.sessions.written(uid)
        await _until_written(lambda: self.ledger.record(Event.FENCE_BREACHED, uid, **facts))


async def _until_written(write: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await write()
        except Refusal as refusal:
            _LOG.warning("a breach is not written down yet", why=str(refusal))
        else:
            return
        await asyncio.sleep(_AGAIN_SECONDS)


def parse_token(body: Mapping[str, Json]) -> str:
    """The token of an opening. Raises `Refusal(malformed)`."""
    match body:
        case {"token": str(token), **rest} if not rest and 0 < len(token) <= MAX_TOKEN and token.isascii():
            return token
    raise Refusal(Code.MALFORMED, "not a session opening", allowed="{token}")


def parse_probes(body: Mapping[str, Json]) -> list[dict[str, Any]]:
    """The probes of a fence report. Raises `Refusal(malformed)`."""
    match body:
        case {"probes": list(probes), **rest} if not rest and 0 < len(probes) <= MAX_PROBES:
            return [_probe(item) for item in probes]
    raise Refusal(Code.MALFORMED, "not a fence report", allowed=f"{{probes}}, at most {MAX_PROBES}")


def _probe(item: Json) -> dict[str, Any]:
    match item:
        case {
            "name": str(name),
            "host": str(host),
            "port": int(port),
            "protocol": "tcp" | "udp" as protocol,
            "blocked": bool(blocked),
            **rest,
        } if not rest and len(name) <= 128 and len(host) <= 128:
            return {"name": name, "host": host, "port": port, "protocol": protocol, "blocked": blocked}
    raise Refusal(Code.MALFORMED, "not a probe", allowed="{name, host, port, protocol, blocked}")


def task_document(claimed: Claimed) -> dict[str, Json]:
    """What the agent may know of its task."""
    task, pod = claimed.task, claimed.pod
    begun = pod.get("status", {}).get("startTime") or pod["metadata"]["creationTimestamp"]
    return {
        "namespace": task.metadata.namespace,
        "name": task.metadata.name,
        "uid": task.metadata.uid,
        "role": task.spec.role,
        "input": dict(task.spec.input),
        "deadline": seconds_of(begun) + duration.seconds(task.spec.deadline),
    }
