"""What the broker reads upstream for conditions, and the permit of its own that lets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward.core import schemacheck
from doorward.core.action import Action, resource_of
from doorward.core.decision import Permit, Principal
from doorward.core.effect import Effect
from doorward.core.permitting import SEAL
from doorward.core.strictjson import Json
from doorward.errors import Refusal
from doorward.policy.context import ActionRequest, Context
from doorward.policy.evaluate import Question
from doorward.policy.facts import Unreachable

_PAGE: Final = 50
"""Rows asked for, as many as every provider gives on a page; an answer that fills it is no fact."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look upstream that answers a question."""

    question: Question
    permit: Permit


def look(
    question: Question, wanted: ActionRequest, context: Context, reader: str
) -> Look | Unreachable | None:
    """The look that answers the question, in the repository that the wanted action is about.

    `Unreachable` where the Connector has no action for it, None where there is nothing to look at.
    `reader` is the subject of the permit, the broker itself.
    """
    name, subject = _READS[question.fact]
    connector, declared = context.connector, context.actions.get(name)
    asked = context.actions.get(wanted.action)
    if connector is None or declared is None or declared.effect is not Effect.READ or asked is None:
        return Unreachable(f"Connector {wanted.connector} cannot do {name}")
    repository = _repository(context, wanted)
    if repository is None:
        return None
    args: dict[str, Json] = {**repository, subject: question.about}
    if "limit" in _properties(declared.arguments):
        args["limit"] = _PAGE
    if schemacheck.fault(declared.arguments, args):
        return None
    action = Action(connector.metadata.name, name, resource_of(declared, args), args)
    return Look(question, _permit(action, context, reader))


def _permit(action: Action, context: Context, reader: str) -> Permit:
    task = context.principal
    connector = context.connector
    return Permit(
        action=action,
        effect=Effect.READ,
        principal=Principal(reader, task.task, task.namespace, task.role, task.requested_by),
        rule="condition",
        policy_hash=context.policy_hash,
        audience=connector.spec.audience if connector else "",
        seal=SEAL,
    )


def _repository(context: Context, wanted: ActionRequest) -> dict[str, Json] | None:
    """Owner and name; the policy has judged them before it looks at a condition."""
    try:
        resource = resource_of(context.actions[wanted.action], wanted.args)
    except Refusal:
        return None
    owner, slash, repo = str(resource.get("repository", "")).partition("/")
    return {"owner": owner, "repo": repo} if slash else None


def _properties(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


_READS: Final[Mapping[str, tuple[str, str]]] = {
    "facts.checks": ("check.read", "commit"),
    "facts.reviews": ("review.read", "number"),
    "facts.head": ("pull.read", "number"),
}
"""Fact -> the action that reads it, and the argument that its subject becomes."""
