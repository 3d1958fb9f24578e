"""May this be executed? An ordered chain of checks over values; nothing here does I/O.

Whoever calls comes from a pod that an agent shares: being reachable proves nothing. What counts is a
capability of the broker, presented by the key it is bound to, for exactly what would be executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorward.connectors import caveats, wire
from doorward.connectors.wire import Asked
from doorward.core import digest, schemacheck
from doorward.core.action import Action, ActionType, resource_of
from doorward.errors import Code, Refusal
from doorward.tokens import capability, proof
from doorward.tokens.capability import Expectation
from doorward.tokens.claims import Capability
from doorward.tokens.proof import Call, Nonces, Proof

PATH = "/v1/actions"


@dataclass(frozen=True, slots=True)
class Identity:
    """What this connector is, as the platform team declared it."""

    connector: str
    audience: str
    issuer: str
    actions: Mapping[str, ActionType]
    """Of its own catalogue, never of a request."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A request as it arrived."""

    target: str
    body: bytes
    capability: str | None
    proof: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """A request that passed every check that needs nobody else: ready to be redeemed."""

    action: Action
    type: ActionType
    capability: Capability
    token: str


def admit(
    presented: Presented,
    identity: Identity,
    keys: Mapping[str, Ed25519PublicKey],
    nonces: Nonces,
    now: float,
) -> Order:
    """The order, or a `Refusal` with the code of the first check that failed.

    The nonce is taken, and the body looked into, only once the key has turned out to be the
    capability's: otherwise anybody with a key of his own could fill the memory of nonces, or keep
    the process that all tasks share busy with JSON.
    """
    token = _token(presented)
    signed = _verify_proof(presented, identity, token, now)
    found = capability.read(token, Expectation(identity.issuer, identity.audience, keys), now)
    _same_key(signed, found)
    nonces.use(signed, now)
    asked = wire.parse(presented.body)
    action_type = _known(asked, found, identity)
    action = _action(asked, action_type)
    _same_digest(action, found)
    caveats.check(found.caveats, action)
    return Order(action, action_type, found, token)


def _token(presented: Presented) -> str:
    if presented.capability is None:
        raise Refusal(
            Code.CAPABILITY_INVALID,
            f"the {capability.HEADER} header is missing",
            ask="ask the broker for a decision first",
        )
    return presented.capability


def _verify_proof(presented: Presented, identity: Identity, token: str, now: float) -> Proof:
    call = Call(identity.audience, "POST", presented.target, presented.body, token)
    return proof.verify(presented.proof, call, now)


def _same_key(signed: Proof, found: Capability) -> None:
    if signed.thumbprint != found.key_thumbprint:
        raise Refusal(Code.PROOF_INVALID, "the capability belongs to another key")


def _known(asked: Asked, found: Capability, identity: Identity) -> ActionType:
    if asked.connector != identity.connector or found.connector != identity.connector:
        raise Refusal(
            Code.CAPABILITY_INVALID,
            "the request or its capability names another connector",
            allowed=identity.connector,
        )
    action_type = identity.actions.get(asked.action)
    if action_type is None or found.action != asked.action:
        raise Refusal(
            Code.UNKNOWN_ACTION,
            "this connector has no such action, or the capability is for another",
            allowed=", ".join(sorted(identity.actions)),
        )
    return action_type


def _action(asked: Asked, action_type: ActionType) -> Action:
    if fault := schemacheck.fault(action_type.arguments, asked.args):
        raise Refusal(Code.ARGUMENTS_INVALID, fault)
    if asked.attachments:
        raise Refusal(Code.MALFORMED, "this action takes no attachments", allowed="attachments: []")
    resource = resource_of(action_type, asked.args)
    return Action(asked.connector, asked.action, resource, asked.args, asked.attachments)


def _same_digest(action: Action, found: Capability) -> None:
    if digest.of(action) != found.digest or dict(action.resource) != dict(found.resource):
        raise Refusal(
            Code.DIGEST_MISMATCH,
            "this is not what the capability was given for",
            allowed="the very arguments that were decided",
            ask="ask for a decision about these arguments",
        )
