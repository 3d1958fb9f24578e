"""Facts that live upstream: read through the connector, under a capability of the broker's own.

Nothing here can make a yes: an answer that does not come, or does not say it all, leaves the question
open, and a condition that asks it is not true.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from doorward import policy
from doorward.broker.places import Places
from doorward.core import digest, ids, problem, strictjson
from doorward.core.clock import Clock
from doorward.core.effect import Effect
from doorward.core.strictjson import Json
from doorward.errors import Code, ConfigError, Refusal
from doorward.ledger import Ask, Denied, Granted, Ledger, Terms
from doorward.policy import ActionRequest, Context, Look, Question, Reading, Unreachable
from doorward.telemetry import log
from doorward.tokens import capability, jwks, mint, proof
from doorward.tokens.claims import BROKER, LIFETIME
from doorward.tokens.keys import SigningKeys
from doorward.tokens.mint import Binding
from doorward.tokens.proof import Call

SECONDS: Final = 2.0
"""For everything that one decision reads."""
_PATH: Final = "/v1/actions"
_MAX_ANSWER: Final = 4 * 1024 * 1024
_LOG: Final = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads."""

    issuer: str
    epoch: str
    namespace: str
    """Of the release: where the ledger says that the broker is."""


@dataclass
class Upstream:
    """Asks connectors. One for a process, with a proof key that never leaves it."""

    reader: Reader
    ledger: Ledger
    places: Places
    clock: Clock
    remember: Callable[[str, Effect], None]
    """Told the id and the effect of each capability before it is used."""
    trusted: Callable[[], ssl.SSLContext]
    """Whom to believe that it is the connector. Raises `ConfigError`."""
    _key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    _session: str = ""
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections, and the session where the ledger still takes that down. Idempotent.

        That of a broker that was killed stays open, and nobody has its key any more.
        """
        if self._http is not None:
            await self._http.close()
        session, self._session = self._session, ""
        if session:
            with contextlib.suppress(Refusal, TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await self.ledger.close_session(session, "the broker has ended")

    async def answered(self, wanted: ActionRequest, context: Context, keys: SigningKeys) -> Context:
        """The context with what its conditions, and those of the tasks above, ask upstream about the action.

        At most `MAX_UPSTREAM` facts within `SECONDS` for each task; what is not read by then is unreachable.
        """
        if policy.wanted(context).upstream:
            context = await self._answered(wanted, context, keys)
        if context.parent is None or not policy.reaches_parent(wanted, context):
            return context
        return replace(context, parent=await self.answered(wanted, context.parent, keys))

    async def _answered(self, wanted: ActionRequest, context: Context, keys: SigningKeys) -> Context:
        readings: dict[Question, Reading] = {}
        try:
            async with asyncio.timeout(SECONDS):
                while asked := self._next(wanted, context, readings):
                    found = await asyncio.gather(*(self._read(item, wanted, context, keys) for item in asked))
                    readings |= dict(zip(asked, found, strict=True))
                    context = _knowing(context, readings)
        except TimeoutError:
            open_questions = policy.questions(wanted, context)
            late = Reading(Unreachable(f"no answer within {SECONDS:.0f} seconds"))
            context = _knowing(context, {**readings, **dict.fromkeys(open_questions, late)})
        return context

    def _next(
        self, wanted: ActionRequest, context: Context, readings: Mapping[Question, Reading]
    ) -> Sequence[Question]:
        return policy.questions(wanted, context)[: policy.MAX_UPSTREAM - len(readings)]

    async def _read(
        self, question: Question, wanted: ActionRequest, context: Context, keys: SigningKeys
    ) -> Reading:
        look = policy.look(question, wanted, context, BROKER)
        if not isinstance(look, Look):
            return Reading(look)
        action = look.permit.action
        try:
            value = await self._looked(look, context, keys)
        except (Refusal, ConfigError, aiohttp.ClientError, OSError) as error:
            why = error.detail if isinstance(error, Refusal) else type(error).__name__
            _LOG.warning("a fact was not read", action=action.name, connector=action.connector, why=why)
            return Reading(Unreachable(f"{action.name}: {why}"))
        said = "" if value is None else digest.of_json(value)
        return Reading(value, action.name, dict(action.args), said)

    async def _looked(self, look: Look, context: Context, keys: SigningKeys) -> Json:
        """What the connector says. Raises `Refusal`, `aiohttp.ClientError` or `OSError`."""
        assert context.connector is not None  # noqa: S101 - a look is through a Connector
        place = await self.places.document(context.connector)
        token = await self._capability(look, context, keys)
        action = look.permit.action
        body = {"connector": action.connector, "action": action.name, "args": action.args, "attachments": []}
        data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        signed = proof.sign(self._key, Call(look.permit.audience, "POST", _PATH, data, token), self.clock())
        headers = {"Content-Type": "application/json", capability.HEADER: token, proof.HEADER: signed}
        async with self._client().post(
            URL(f"{place['url']}{_PATH}", encoded=True),
            data=data,
            headers=headers,
            allow_redirects=False,
            server_hostname=str(place["serverName"]),
            ssl=self.trusted(),
        ) as response:
            return _facts(await _answer(response), response.status)

    async def _capability(self, look: Look, context: Context, keys: SigningKeys) -> str:
        """A capability for the look, in the ledger like any other. Raises `Refusal`."""
        permit, resource = look.permit, look.permit.action.resource
        ask = Ask(
            session=await self._own_session(),
            request=ids.uuid7(),
            connector=permit.action.connector,
            action=permit.action.name,
            effect=permit.effect.value,
            digest=digest.of(permit.action),
            resource=resource,
            behalf=context.task.metadata.uid,
        )
        terms = Terms(self.reader.epoch, LIFETIME, 0, policy.over_limit)
        answer = await self.ledger.permit(ask, permit, terms)
        if isinstance(answer, Denied):
            raise answer.denial.refusal()
        self.remember(answer.capability, permit.effect)
        return mint.mint(permit, self._binding(answer), self.reader.issuer, keys)

    def _binding(self, granted: Granted) -> Binding:
        return Binding(
            capability_id=granted.capability,
            decision_id=granted.decision,
            event_hash=granted.event,
            epoch=self.reader.epoch,
            key_thumbprint=self._thumbprint,
            now=granted.issued_at,
        )

    async def _own_session(self) -> str:
        async with self._opening:
            if not self._session:
                self._session = await self.ledger.open_own(self._thumbprint, self.reader.namespace)
            return self._session

    @property
    def _thumbprint(self) -> str:
        return jwks.thumbprint(self._key.public_key())

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=15),
                timeout=aiohttp.ClientTimeout(total=SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._http


def _knowing(context: Context, readings: Mapping[Question, Reading]) -> Context:
    return replace(context, facts=replace(context.facts, upstream=dict(readings)))


async def _answer(response: aiohttp.ClientResponse) -> Any:
    data = b""
    while len(data) <= _MAX_ANSWER and (part := await response.content.readany()):
        data += part
    return strictjson.loads(data, max_bytes=_MAX_ANSWER)


def _facts(document: Json, status: int) -> Json:
    """The facts of the connector's answer; None where the upstream has not what was asked for."""
    if status >= 300:
        raise problem.from_document(document, status)
    match document:
        case {"facts": facts}:
            return facts
    raise Refusal(Code.UNAVAILABLE, "the connector does not say facts", ask="upgrade the connector")
