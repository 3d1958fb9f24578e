"""From a request to a durable answer: parse, gather, decide, write down, mint. Each step is small."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from doorward import policy
from doorward.broker import pleas
from doorward.broker.conduct import PATIENT, Conduct
from doorward.broker.facts import Facts
from doorward.broker.gathering import Gatherer
from doorward.broker.metrics import Metrics
from doorward.broker.people import Appeal, Consulted, People
from doorward.broker.pleas import Plea
from doorward.broker.recall import recall
from doorward.broker.sessions import Open, Sessions
from doorward.broker.upstream import Upstream
from doorward.core import digest
from doorward.core.action import Action, Attachment, resource_of
from doorward.core.decision import Denial, Permit
from doorward.core.effect import Effect
from doorward.core.grade import Cause
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.ledger import Ask, Denied, Granted, Ledger, Terms
from doorward.policy import ActionRequest, Context
from doorward.policy.reach import effect_of
from doorward.tokens import mint
from doorward.tokens.claims import LIFETIME
from doorward.tokens.keys import SigningKeys
from doorward.tokens.mint import Binding

MAX_ATTACHMENTS: Final = 16
_MEMBERS: Final = frozenset({"request", "connector", "action", "args", "attachments"})
_SHAPE: Final = "{request, connector, action, args, attachments, reason?, escalation?}"
REQUEST: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What a door names a request by: a UUID."""
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAX_SIZE: Final = 2**40


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for a decision, parsed."""

    request: str
    wanted: ActionRequest
    plea: Plea


@dataclass(frozen=True, slots=True)
class Issuing:
    """What capabilities are made with."""

    issuer: str
    epoch: str
    max_denials: int


@dataclass
class Decider:
    """Decides for open sessions."""

    facts: Facts
    sessions: Sessions
    gatherer: Gatherer
    ledger: Ledger
    issuing: Issuing
    metrics: Metrics
    effects: Effects
    people: People
    conduct: Conduct
    upstream: Upstream

    async def decide(self, opened: Open, body: Mapping[str, Json], keys: SigningKeys) -> dict[str, Json]:
        """The answer to `POST /v1/decisions`. Raises the `Refusal` of a denial, recorded before."""
        started = time.perf_counter()
        wish = parse(body)
        context = await self.gather(opened, wish.wanted.connector, wish.wanted)
        context = await self.upstream.answered(wish.wanted, context, keys)
        found = await self._consulted(opened, wish, context)
        verdict = found.verdict
        ask = _ask(opened, wish, verdict, context)
        answer = await self._write(opened, ask, verdict)
        self._count(wish, answer, context, started)
        await self.people.used(found)
        if isinstance(answer, Denied):
            raise self._refusal(answer, opened, found.members)
        assert isinstance(verdict, Permit)  # noqa: S101 - the ledger grants nothing else
        self.effects.remember(answer.capability, verdict.effect)
        return {**self._minted(verdict, answer, opened, keys), "digest": ask.digest}

    async def _consulted(self, opened: Open, wish: Wish, context: Context) -> Consulted:
        """The policy's word; where it demands people, with what they have said."""
        verdict = policy.decide(wish.wanted, context)
        if isinstance(verdict, Permit) or verdict.demand is None:
            return Consulted(verdict, None)
        appeal = Appeal(wish.request, wish.wanted, _asked(wish.wanted, context), wish.plea)
        return await self.people.consult(opened, appeal, context)

    async def refused(self, ask: Ask, denial: Denial, opened: Open) -> Refusal:
        """The no to what is no connector's action, written down like any other."""
        answer = await self._write(opened, ask, denial)
        assert isinstance(answer, Denied)  # noqa: S101 - a denial is never granted
        self.metrics.decided(answer.denial.code.value, "", Effect(ask.effect) if ask.effect else None, 0.0)
        return self._refusal(answer, opened)

    def _refusal(self, answer: Denied, opened: Open, members: Mapping[str, Json] | None = None) -> Refusal:
        self.conduct.denied(opened.session.task_uid, answer.denial.code, written=bool(answer.event))
        if answer.froze:
            self.sessions.freeze(opened.session.task_uid, "too many denials", Cause.DENIALS)
            self.sessions.written(opened.session.task_uid)
            self.metrics.froze()
        return answer.denial.refusal(answer.decision or None, members)

    async def actions(self, opened: Open) -> list[Json]:
        """The answer to `GET /v1/actions`: what exists for this task, with what is used of it."""
        rows: list[policy.VisibleAction] = []
        for connector in sorted({rule.connector for rule in opened.pinned_role.spec.rules}):
            context = await self.gather(opened, connector)
            rows += policy.visible_actions(context)
        counters = [(item.key, item.window_seconds) for row in rows for item in row.reservations]
        used = dict(zip(counters, await self.ledger.used(counters), strict=True))
        return [_row(row, used) for row in rows]

    async def gather(self, opened: Open, connector: str, wanted: ActionRequest | None = None) -> Context:
        """Everything that the policy may look at. Raises the `Refusal` of its absence without the task."""
        task = self.facts.tasks.get(opened.session.task_uid)
        if task is None:
            raise self.facts.absence(opened.session.task_uid)
        context = await self.gatherer.context(task, opened.pinned_role, connector)
        about = _asked(wanted, context).resource if wanted else {}
        return await recall(self.ledger, context, about)

    async def _write(self, opened: Open, ask: Ask, verdict: Permit | Denial) -> Granted | Denied:
        quiet = self.conduct.quiet(opened.session.task_uid)
        terms = Terms(self.issuing.epoch, LIFETIME, self.issuing.max_denials, policy.over_limit, quiet)
        if isinstance(verdict, Denial):
            if quiet and verdict.code not in PATIENT:
                return Denied("", verdict, "")
            return await self.ledger.deny(ask, verdict, terms)
        return await self.ledger.permit(ask, verdict, terms)

    def _count(self, wish: Wish, answer: Granted | Denied, context: Context, started: float) -> None:
        found = context.actions.get(wish.wanted.action)
        effect = effect_of(found, context.connector) if found and context.connector else None
        self.metrics.decided(
            answer.denial.code.value if isinstance(answer, Denied) else "",
            wish.wanted.connector if context.connector else "",
            effect,
            time.perf_counter() - started,
        )

    def _minted(self, permit: Permit, granted: Granted, opened: Open, keys: SigningKeys) -> dict[str, Json]:
        binding = Binding(
            capability_id=granted.capability,
            decision_id=granted.decision,
            event_hash=granted.event,
            epoch=self.issuing.epoch,
            key_thumbprint=opened.session.thumbprint,
            now=granted.issued_at,
        )
        return {
            "decision": granted.decision,
            "capability": mint.mint(permit, binding, self.issuing.issuer, keys),
            "expires": granted.issued_at + LIFETIME,
            "event": granted.event,
        }


class Effects:
    """The effects of the latest capabilities, for redemptions; whoever is not in it is looked at closely."""

    def __init__(self, most: int = 50_000) -> None:
        self._known: dict[str, Effect] = {}
        self._most = most

    def remember(self, jti: str, effect: Effect) -> None:
        """Keep the effect of a capability."""
        self._known[jti] = effect
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def knows(self, jti: str) -> bool:
        """Whether the effect of a capability is among them."""
        return jti in self._known

    def reversible(self, jti: str) -> bool:
        """Whether the capability is known to do nothing beyond a draft."""
        found = self._known.get(jti)
        return found is not None and found.rank <= Effect.DRAFT.rank


def parse(body: Mapping[str, Json]) -> Wish:
    """The closed shape of a request for a decision. Raises `Refusal(malformed)`."""
    if set(body) - pleas.MEMBERS != _MEMBERS:
        raise _malformed(f"the members must be exactly {', '.join(sorted(_MEMBERS))}")
    match body:
        case {
            "request": str(request),
            "connector": str(connector),
            "action": str(action),
            "args": dict(args),
            "attachments": list(attachments),
        } if REQUEST.fullmatch(request) and _NAME.fullmatch(connector) and _NAME.fullmatch(action):
            found = tuple(_attachment(item) for item in attachments)
            if len(found) > MAX_ATTACHMENTS or len({item.name for item in found}) != len(found):
                raise _malformed(f"at most {MAX_ATTACHMENTS} attachments, each with its own name")
            return Wish(request, ActionRequest(connector, action, args, found), pleas.parse(body))
    raise _malformed("request is a UUID, connector and action are names, args an object, attachments a list")


def _attachment(item: Json) -> Attachment:
    match item:
        case {"name": str(name), "sha256": str(sha256), "size": int(size), **rest} if not rest:
            if _NAME.fullmatch(name) and _HEX.fullmatch(sha256) and _fits(size):
                return Attachment(name, sha256, size)
    raise _malformed("an attachment has a name, the sha256 of its bytes in hex, and their number")


def _fits(size: object) -> bool:
    return type(size) is int and 0 <= size <= _MAX_SIZE


def _ask(opened: Open, wish: Wish, verdict: Permit | Denial, context: Context) -> Ask:
    action = verdict.action if isinstance(verdict, Permit) else _asked(wish.wanted, context)
    found = context.actions.get(wish.wanted.action)
    return Ask(
        session=opened.session.id,
        request=wish.request,
        connector=action.connector,
        action=action.name,
        effect=effect_of(found, context.connector).value if found and context.connector else None,
        digest=digest.of(action),
        resource=action.resource,
        attachments=tuple(
            {"name": item.name, "sha256": item.sha256, "size": item.size} for item in action.attachments
        ),
    )


def _asked(wanted: ActionRequest, context: Context) -> Action:
    """What was asked for, as far as it can be told: a denied action may not name its resource."""
    action = Action(wanted.connector, wanted.action, {}, wanted.args, wanted.attachments)
    found = context.actions.get(wanted.action)
    try:
        return replace(action, resource=resource_of(found, wanted.args)) if found else action
    except Refusal:
        return action


def _row(row: policy.VisibleAction, used: Mapping[Any, int]) -> dict[str, Json]:
    return {
        "connector": row.connector,
        "action": row.action,
        "effect": row.effect.value,
        "summary": row.summary,
        "rule": row.rule,
        "arguments": row.arguments,
        "resources": {name: list(globs) for name, globs in row.resources.items()},
        "approval": row.quorum > 0,
        "quorum": row.quorum,
        "limits": [
            {
                "limit": item.limit,
                "used": used[item.key, item.window_seconds],
                "windowSeconds": item.window_seconds,
                "unit": item.unit.value,
                "of": item.holder.value,
                "bound": policy.bound(item),
            }
            for item in row.reservations
        ],
    }


def _malformed(detail: str) -> Refusal:
    return Refusal(
        Code.MALFORMED,
        detail,
        allowed=_SHAPE,
    )
