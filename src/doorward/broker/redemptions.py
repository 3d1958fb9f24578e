"""The connectors' side: who asks, whether the capability is ours, and spending it in the ledger."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from doorward.api.v1alpha1 import Connector
from doorward.broker.cluster import REDEMPTIONS, Cluster
from doorward.broker.conduct import Conduct
from doorward.broker.decisions import Effects
from doorward.broker.facts import Facts, latch_of
from doorward.broker.metrics import Metrics
from doorward.core.clock import Clock
from doorward.core.effect import Effect
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.ledger import Claim, Ledger, Redeemed, Report
from doorward.serving import Buckets, Request
from doorward.telemetry.events import Event
from doorward.tokens import capability
from doorward.tokens.capability import Expectation
from doorward.tokens.claims import BROKER, Capability
from doorward.tokens.keys import SigningKeys

REMEMBERED_SECONDS: Final = 10.0
"""How long a TokenReview's yes is remembered."""
_MAX_REMEMBERED: Final = 1000
_MAX_REFERENCES: Final = 100
_MAX_TEXT: Final = 256
_COUNTED: Final = frozenset({"tokens", "spend"})
_MOST: Final = 2**53
"""Far above any real use, and far below what a counter cannot hold."""
_STATES: Final[tuple[Mapping[str, Json], ...]] = ({}, {"state": "open"}, {"state": "closed"})
_OUTCOMES: Final = frozenset({"succeeded", "failed", "unknown"})


@dataclass(frozen=True, slots=True)
class Hands:
    """A connector that was recognised."""

    username: str
    connectors: tuple[Connector, ...]
    """The Connectors that it serves; one, unless the platform team lets two share a service account."""


@dataclass
class Callers:
    """Recognises connectors by their projected tokens."""

    cluster: Cluster
    facts: Facts
    clock: Clock
    reviews: Buckets = field(default_factory=lambda: Buckets(1.0, 20))
    """Tokens of one pod that are asked about: it has one, which is asked about every few seconds."""
    _remembered: OrderedDict[bytes, tuple[float, str, str, str]] = field(default_factory=OrderedDict)
    _asking: dict[bytes, asyncio.Task[tuple[str, str, str]]] = field(default_factory=dict)

    async def identify(self, request: Request) -> Hands:
        """Who calls. Raises `Refusal(session_invalid)` for everybody but a Connector's service account."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise _stranger("there is no bearer token")
        username, namespace, service = await self._review(token, request.peer)
        found = self.facts.serving(namespace, service)
        if not found:
            raise _stranger("no Connector has this service account")
        return Hands(username, tuple(found))

    async def _review(self, token: str, peer: str) -> tuple[str, str, str]:
        now, key = self.clock(), hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(key)
        if known is not None and 0 <= now - known[0] < REMEMBERED_SECONDS:
            return known[1:]
        self._remembered.pop(key, None)
        asking = self._asking.get(key)
        if asking is None:
            self.reviews.take(peer, now)
            asking = self._asking[key] = asyncio.ensure_future(self._ask(token, key, now))
            asking.add_done_callback(lambda done: self._asked(key, done))
        # All who come meanwhile wait for the one answer, and who hangs up does not take it from the others.
        return await asyncio.shield(asking)

    async def _ask(self, token: str, key: bytes, now: float) -> tuple[str, str, str]:
        identity = await self.cluster.review(token, REDEMPTIONS)
        found = (identity.username, *identity.service_account)
        self._remembered[key] = (now, *found)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return found

    def _asked(self, key: bytes, done: asyncio.Task[tuple[str, str, str]]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # so that it counts as seen when everybody has hung up


@dataclass
class Redeemer:
    """Spends capabilities and takes reports."""

    facts: Facts
    cluster: Cluster
    ledger: Ledger
    metrics: Metrics
    clock: Clock
    effects: Effects
    over: Callable[[str], Refusal | None]
    """Why a task, by its UID, gets nothing any more; known before the ledger has written it."""
    conduct: Conduct
    issuer: str
    epoch: str

    async def redeem(self, hands: Hands, body: Mapping[str, Json], keys: SigningKeys) -> dict[str, Json]:
        """The answer to `POST /v1/redemptions`. Raises `Refusal`."""
        token, instance, nonce = _redemption(body)
        now = self.clock()
        connector, found = self._read(hands, token, keys, now)
        quiet = self.conduct.reticent(found.id, hands.username)
        try:
            spent = await self._spend(found, hands, (instance, nonce), quiet=quiet)
        except Refusal as refusal:
            self.metrics.redeemed(connector, refusal.code.value)
            self.conduct.refused(found.subject, found.id, hands.username, refusal.code, written=not quiet)
            raise
        self.metrics.redeemed(connector)
        return {"redemption": spent.redemption, "executeBy": spent.execute_by, "now": self.clock()}

    async def _spend(
        self, found: Capability, hands: Hands, attempt: tuple[str, str], *, quiet: bool
    ) -> Redeemed:
        if found.subject != BROKER and not await self._reversible(found.id):
            await self._look_closely(found)
        await self._heed_news(found, hands, attempt[0], quiet=quiet)
        claim = Claim(found.id, found.audience, found.digest, found.epoch, hands.username, *attempt)
        spent = await self.ledger.redeem(claim, self.epoch, quiet=quiet)
        await self._heed_news(found, hands, attempt[0], quiet=quiet)  # what came while it was written
        return spent

    async def report(self, hands: Hands, body: Mapping[str, Json]) -> dict[str, Json]:
        """The answer to `POST /v1/outcomes`. Raises `Refusal`."""
        told = _report(body, hands.username)
        recorded = await self.ledger.report(told)
        if recorded.new:
            self.metrics.outcome(recorded.connector, told.outcome)
        return {"event": recorded.event}

    def _read(self, hands: Hands, token: str, keys: SigningKeys, now: float) -> tuple[str, Capability]:
        """The capability, which must be for one of the caller's Connectors, and the name of that."""
        refusal = Refusal(Code.CAPABILITY_INVALID, "the capability is for another connector")
        for connector in hands.connectors:
            expected = Expectation(self.issuer, connector.spec.audience, keys.public, keys.made)
            try:
                found = capability.read(token, expected, now)
            except Refusal as unread:
                refusal = unread
                continue
            if found.connector == connector.metadata.name:
                return found.connector, found
            refusal = Refusal(Code.CAPABILITY_INVALID, "the capability is for another connector")
        self.metrics.redeemed(hands.connectors[0].metadata.name, refusal.code.value)
        raise refusal

    async def _heed_news(self, found: Capability, hands: Hands, instance: str, *, quiet: bool) -> None:
        """What the news has said counts at once, however much waits to be written into the ledger."""
        refusal = standing(self.facts, found) or self.over(found.subject)
        if refusal is None:
            return
        if quiet:
            raise refusal
        await self.ledger.record(
            Event.REDEMPTION_REFUSED,
            found.subject,
            capability=found.id,
            redeemer=hands.username,
            instance=instance,
            code=refusal.code.value,
            detail=refusal.detail,
        )
        raise refusal

    async def _reversible(self, jti: str) -> bool:
        """Whether this does nothing beyond a draft; what another broker gave is known by the ledger alone."""
        if self.ledger.shared and not self.effects.knows(jti):
            found = await asyncio.to_thread(self.ledger.reader.effect, jti)
            if found in set(Effect):
                self.effects.remember(jti, Effect(found))
        return self.effects.reversible(jti)

    async def _look_closely(self, found: Capability) -> None:
        """Above a draft nothing is taken from a cache: task and Revocations are read live."""
        namespace, name = str(found.actor.get("namespace")), str(found.actor.get("task"))
        task, own, central = await asyncio.gather(
            self.cluster.task(namespace, name),
            self.cluster.revocations(namespace),
            self.cluster.revocations(self.facts.release_namespace),
        )
        for item in (*own, *central):
            latch = latch_of(item, self.facts.release_namespace)
            if latch.uid not in self.facts.revoked:
                facts = {"namespace": latch.namespace, "name": latch.name, "reason": latch.reason}
                await self.ledger.latch(latch.uid, latch.subjects, **facts)
        if (
            task is None
            or task["metadata"]["uid"] != found.subject
            or "deletionTimestamp" in task["metadata"]
        ):
            await self.ledger.end(found.subject, "the task was deleted")


def standing(facts: Facts, found: Capability) -> Refusal | None:
    """Why the news lets nobody spend this; the ledger asks again for itself. Pure."""
    namespace, task, role = (str(found.actor.get(name)) for name in ("namespace", "task", "role"))
    if facts.is_revoked(namespace, task, role, found.id):
        return Refusal(Code.REVOKED, "this was revoked")
    revoked = found.grant is not None and facts.is_grant_revoked(namespace, found.grant)
    if revoked is None:
        return Refusal(Code.UNAVAILABLE, "the broker has not heard of the Grant yet", ask="try again")
    if revoked:
        return Refusal(Code.REVOKED, "the Grant was revoked")
    if not facts.enrolled(namespace):
        return Refusal(Code.TASK_ENDED, "the namespace is not enrolled any more")
    if found.subject not in facts.tasks and found.subject != BROKER:
        return facts.absence(found.subject)
    return None


def _redemption(body: Mapping[str, Json]) -> tuple[str, str, str]:
    match body:
        case {"capability": str(token), "instance": str(instance), "nonce": str(nonce), **rest} if not rest:
            if _short(instance) and _short(nonce):
                return token, instance, nonce
    raise Refusal(Code.MALFORMED, "not a redemption", allowed="{capability, instance, nonce}")


def _report(body: Mapping[str, Json], redeemer: str) -> Report:
    match body:
        case {
            "redemption": str(redemption),
            "outcome": str(outcome),
            "status": status,
            "references": list(references),
            "bytes": int(size),
            "sent": bool(sent),
            **rest,
        } if outcome in _OUTCOMES and _is_count(size) and (status is None or _is_count(status)):
            found = tuple(_reference(item) for item in references)
            usage = _usage(rest)
            if len(found) <= _MAX_REFERENCES and _short(redemption):
                return Report(redemption, redeemer, outcome, status, found, size, sent, usage)  # type: ignore[arg-type]
    raise _no_outcome()


def _usage(rest: Mapping[str, Json]) -> dict[str, int]:
    """What was used of tokens and money; a connector that counts neither leaves the member out."""
    match rest:
        case {"usage": dict(usage), **more} if not more:
            counts = ((name, value) for name, value in usage.items() if isinstance(value, int))
            found = {name: value for name, value in counts if _is_count(value) and value <= _MOST}
            if found == usage and set(found) <= _COUNTED:
                return found
        case {} if not rest:
            return {}
    raise _no_outcome()


def _no_outcome() -> Refusal:
    return Refusal(
        Code.MALFORMED,
        "not an outcome",
        allowed="{redemption, outcome, status, references, bytes, sent}, and perhaps usage: {tokens, spend}",
    )


def _reference(item: Json) -> dict[str, Json]:
    match item:
        case {"kind": str(kind), "id": str() | int() as found, **rest} if rest in _STATES:
            id_ = found[:_MAX_TEXT] if isinstance(found, str) else found
            plain: dict[str, Json] = {"kind": kind[:_MAX_TEXT], "id": id_}
            return {**plain, "state": str(rest["state"])} if rest else plain
    raise Refusal(Code.MALFORMED, "not a reference", allowed="{kind, id}, and state: open or closed")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _short(text: str) -> bool:
    return 0 < len(text) <= _MAX_TEXT


def _stranger(detail: str) -> Refusal:
    return Refusal(
        Code.SESSION_INVALID, detail, allowed=f"a Connector's service account, audience {REDEMPTIONS}"
    )
