"""A broker that says yes to what it is told to, with real keys, real proofs and real capabilities.

It stands where the policy and the ledger would be: what a door and a connector do is under test, and
so are the faults that a real broker shows only now and then (lost answers, refusals, late clocks).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from authority import Authority
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward import catalogue, serving
from doorward.core.action import Action, resource_of
from doorward.core.decision import Permit, Principal
from doorward.core.effect import Effect
from doorward.core.permitting import SEAL
from doorward.errors import Code, Refusal
from doorward.serving import Request, Route
from doorward.tokens import jwks, keys, mint, proof
from doorward.tokens.proof import Call, Nonces

ISSUER = "https://doorward-broker.test"
SERVER_NAME = "doorward-broker.test"
AUDIENCE = "connector:code"
TOKEN = "projected-token"


def signing_keys() -> keys.SigningKeys:
    """New signing keys."""
    return keys.load([keys.generate()])


@dataclass
class Broker:
    """Both listeners of a broker in one."""

    signing: keys.SigningKeys = field(default_factory=signing_keys)
    connectors: list[dict[str, Any]] = field(default_factory=list)
    canaries: list[dict[str, Any]] = field(default_factory=list)
    refuse: dict[str, Refusal] = field(default_factory=dict)
    """Path -> the no that it answers with."""
    lose: dict[str, int] = field(default_factory=dict)
    """Path -> how many answers still get lost after the work is done."""
    policy: Callable[[str, Mapping[str, Any]], Refusal | None] = lambda _action, _args: None
    """The no to an action with these arguments, if there is one."""
    grants: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Name of a Grant -> how it stands, one after the other; the last one stays."""
    seconds: float = 5.0
    """How long a redemption may be executed."""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    spent: dict[str, tuple[str, str]] = field(default_factory=dict)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    fences: list[list[dict[str, Any]]] = field(default_factory=list)
    nonces: Nonces = field(default_factory=Nonces)
    token: str = TOKEN
    """What connectors have to present."""
    key: str = ""
    """Thumbprint of the session's key."""

    def paths(self) -> list[str]:
        """The paths called so far."""
        return [path for path, _ in self.calls]

    def permit(self, connector: str, action: str, args: Mapping[str, Any], **changes: Any) -> Permit:
        """A permit for one forge action."""
        resource = resource_of(catalogue.load("forge").actions[action], args)
        facts = {
            "action": Action(connector, action, resource, args),
            "effect": Effect.READ,
            "principal": Principal("uid-1", "fix", "agents", "helper", "alice"),
            "rule": "comment",
            "policy_hash": "sha256:0",
            "audience": AUDIENCE,
            "seal": SEAL,
        }
        return Permit(**{**facts, **changes})

    def mint(self, permit: Permit, thumbprint: str, **changes: Any) -> str:
        """A capability."""
        facts = {
            "capability_id": str(uuid.uuid4()),
            "decision_id": "decision-1",
            "event_hash": "hash-1",
            "epoch": "epoch-1",
            "key_thumbprint": thumbprint,
            "now": int(time.time()),
        }
        issuer = changes.pop("issuer", ISSUER)
        return mint.mint(permit, mint.Binding(**{**facts, **changes}), issuer, self.signing)

    @asynccontextmanager
    async def listening(self, authority: Authority) -> AsyncIterator[str]:
        """Serve on a free port; gives the URL."""
        routes = [
            Route("GET", "/.well-known/jwks.json", self._answering(self._jwks)),
            Route("POST", "/v1/sessions", self._answering(self._sessions)),
            Route("POST", "/v1/fence", self._answering(self._fence)),
            Route("GET", "/v1/canaries", self._answering(self._canaries)),
            Route("GET", "/v1/actions", self._answering(self._actions)),
            Route("POST", "/v1/decisions", self._answering(self._decide)),
            Route("GET", "/v1/grants/{name}", self._answering(self._grant)),
            Route("POST", "/v1/redemptions", self._answering(self._redeem)),
            Route("POST", "/v1/outcomes", self._answering(self._outcome)),
        ]
        certificates = authority.server(SERVER_NAME)
        async with serving.listening(serving.app(routes), "127.0.0.1", 0, certificates.context, 0.1) as bound:
            yield f"https://127.0.0.1:{bound.port}"

    def _answering(self, work: Any) -> Any:
        async def answer(request: Request) -> web.StreamResponse:
            body = request.json() if request.body else {}
            self.calls.append((request.path, body))
            if refusal := self.refuse.get(request.path):
                raise refusal
            document = work(request, body)
            if self.lose.get(request.path, 0) > 0 and request.transport.transport:
                self.lose[request.path] -= 1
                request.transport.transport.abort()
            return serving.empty() if document is None else serving.json(document)

        return answer

    def _prove(self, request: Request) -> None:
        call = Call("doorward-broker", request.method, request.target, request.body)
        found = proof.verify(request.headers.get(proof.HEADER), call, time.time())
        self.nonces.use(found, time.time())
        assert found.session == (None if request.path == "/v1/sessions" else "session-1")
        assert self.key in {"", found.thumbprint}
        self.key = found.thumbprint

    def _jwks(self, _: Request, __: Any) -> dict[str, object]:
        return jwks.document(self.signing.public.values())

    def _sessions(self, request: Request, body: Any) -> dict[str, Any]:
        self._prove(request)
        assert body == {"token": TOKEN}
        return {
            "session": "session-1",
            "task": {
                "namespace": "agents",
                "name": "fix",
                "uid": "uid-1",
                "role": "helper",
                "input": {"issue": 7},
            },
            "connectors": self.connectors,
            "canaries": self.canaries,
        }

    def _fence(self, request: Request, body: Any) -> None:
        self._prove(request)
        self.fences.append(body["probes"])

    def _canaries(self, request: Request, _: Any) -> dict[str, Any]:
        self._prove(request)
        return {"canaries": self.canaries}

    def _actions(self, request: Request, _: Any) -> dict[str, Any]:
        self._prove(request)
        return {"actions": [{"connector": "code", "action": "issue.read"}]}

    def _decide(self, request: Request, body: Any) -> dict[str, Any]:
        self._prove(request)
        if body["request"] not in self.decisions:
            if refusal := self.policy(body["action"], body["args"]):
                raise refusal
            permit = self.permit(body["connector"], body["action"], body["args"])
            capability = self.mint(permit, self.key)
            self.decisions[body["request"]] = {"decision": "decision-1", "capability": capability}
        return self.decisions[body["request"]]

    def _grant(self, request: Request, _: Any) -> dict[str, Any]:
        self._prove(request)
        stands = self.grants.get(request.params["name"])
        if not stands:
            raise Refusal(Code.UNKNOWN_ACTION, "this task has no such Grant")
        return stands.pop(0) if len(stands) > 1 else stands[0]

    def _redeem(self, request: Request, body: Any) -> dict[str, Any]:
        assert request.headers["Authorization"] == f"Bearer {self.token}"
        claim = (body["instance"], body["nonce"])
        if self.spent.setdefault(body["capability"], claim) != claim:
            raise Refusal(Code.REPLAYED, "spent")
        now = time.time()
        return {"redemption": f"redemption-{len(self.spent)}", "executeBy": now + self.seconds, "now": now}

    def _outcome(self, request: Request, body: Any) -> dict[str, Any]:
        assert request.headers["Authorization"] == f"Bearer {self.token}"
        self.outcomes.append(body)
        return {"event": "hash-2"}


@dataclass
class Holder:
    """Whoever holds a proof key, rightly or not."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def thumbprint(self) -> str:
        """Of the public key."""
        return jwks.thumbprint(self.key.public_key())

    def prove(self, body: bytes, capability: str, /, **changes: Any) -> str:
        """A proof for a call of the connector."""
        facts = {"audience": AUDIENCE, "method": "POST", "target": "/v1/actions"}
        now = changes.pop("now", time.time())
        return proof.sign(self.key, Call(**{**facts, "body": body, "capability": capability, **changes}), now)
