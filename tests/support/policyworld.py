"""A small world for the policy: one task, one role, one Connector, and how to change them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.catalogue import load
from doorward.core.action import ActionType, Use
from doorward.core.effect import Effect
from doorward.policy import ActionRequest, Context, Facts, Outcome

FORGE = load("forge")
API = "doorward.dev/v1alpha1"
LABELS = {"team": "a", "kubernetes.io/metadata.name": "agents"}
SELECTOR = {"selector": {"matchLabels": {"team": "a"}}}


def verb(name: str, effect: Effect, **changes: Any) -> ActionType:
    """An action beyond the forge's, for effects that it does not have yet."""
    properties = {
        "owner": {"type": "string", "maxLength": 40},
        "repo": {"type": "string", "maxLength": 40},
        "environment": {"type": "string", "maxLength": 40},
    }
    plain = ActionType(
        name=name,
        effect=effect,
        summary="For tests.",
        arguments={
            "type": "object",
            "additionalProperties": False,
            "required": ["owner", "repo", "environment"],
            "properties": properties,
        },
        resource={"repository": "{owner}/{repo}", "environment": "environment"},
        enforces=frozenset({"repository", "environment"}),
    )
    return replace(plain, **changes)


ACTIONS: Mapping[str, ActionType] = {
    **FORGE.actions,
    "pull.merge": verb("pull.merge", Effect.MERGE),
    "release.deploy": verb("release.deploy", Effect.DEPLOY),
    "release.rollback": verb("release.rollback", Effect.ROLLBACK),
    "repository.delete": verb("repository.delete", Effect.DESTROY),
    "change.propose": verb(
        "change.propose",
        Effect.DRAFT,
        resource={"repository": "{owner}/{repo}"},
        enforces=frozenset({"repository", "diffLines", "files"}),
        runs_ci=True,
    ),
    "issue.open": verb("issue.open", Effect.DRAFT, makes="issue"),
    "model.ask": verb(
        "model.ask",
        Effect.READ,
        arguments={
            "type": "object",
            "additionalProperties": False,
            "required": ["owner", "repo"],
            "properties": {
                "owner": {"type": "string", "maxLength": 40},
                "repo": {"type": "string", "maxLength": 40},
                "maxTokens": {"type": "integer", "minimum": 1, "maximum": 100_000},
            },
        },
        resource={"repository": "{owner}/{repo}"},
        enforces=frozenset({"repository"}),
        uses={
            "tokens": Use(most=1000, argument="maxTokens"),
            "spend": Use(most=20_000, argument="maxTokens", each=20),
        },
    ),
}

COMMENT = {
    "name": "comment",
    "connector": "code",
    "actions": ["issue.comment"],
    "resources": {"repository": ["acme/*"]},
}
TENANT = {"namespaces": SELECTOR, "resources": {"repository": ["acme/*"]}, "effects": ["read", "draft"]}

REVIEWED = Outcome(
    "review", "reviews", "pull.review", "succeeded", {"repository": "acme/web"}, "reviewer", "r"
)
"""What another role did about acme/web: the one fact of the small world that its agent cannot make."""


def task(**spec: Any) -> AgentTask:
    """The task `fix` in namespace `agents`."""
    return AgentTask.parse(
        {
            "apiVersion": API,
            "kind": "AgentTask",
            "metadata": {"name": "fix", "namespace": "agents", "uid": "task-1"},
            "spec": {
                "role": "fixer",
                "agent": {"image": "registry.example/agents/a:1"},
                "requestedBy": "alice",
                **copy.deepcopy(spec),
            },
        }
    )


def role(*rules: Mapping[str, Any], **spec: Any) -> AgentRole:
    """The role `fixer` with these rules."""
    return AgentRole.parse(
        {
            "apiVersion": API,
            "kind": "AgentRole",
            "metadata": {"name": "fixer", "namespace": "agents", "uid": "role-1"},
            "spec": {
                "agent": {"images": ["registry.example/agents/*"]},
                "rules": copy.deepcopy(list(rules)),
                **copy.deepcopy(spec),
            },
        }
    )


def connector(*tenants: Mapping[str, Any], **spec: Any) -> Connector:
    """The Connector `code` with these tenants; its CI is isolated."""
    return Connector.parse(
        {
            "apiVersion": API,
            "kind": "Connector",
            "metadata": {"name": "code", "uid": "connector-1"},
            "spec": {
                "type": "forge",
                "provider": "gitea",
                "zone": "repository",
                "endpoint": "https://git.example",
                "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
                "audience": "connector:code",
                "catalogueHash": FORGE.hash,
                "ci": "isolated",
                "tenants": copy.deepcopy(list(tenants)),
                **copy.deepcopy(spec),
            },
        }
    )


def context(
    *rules: Mapping[str, Any],
    tenants: tuple[Mapping[str, Any], ...] = (TENANT,),
    task_spec: Mapping[str, Any] | None = None,
    role_spec: Mapping[str, Any] | None = None,
    connector_spec: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Context:
    """A context in which the pinned and the current role are the same."""
    found = role(*(rules or (COMMENT,)), **(role_spec or {}))
    plain = Context(
        task=task(**(task_spec or {})),
        pinned_role=found,
        current_role=found,
        connector=connector(*tenants, **(connector_spec or {})),
        actions=ACTIONS,
        catalogue_hash=FORGE.hash,
        namespace_labels=LABELS,
        now=1_800_000_000.0,
        facts=Facts(others={"reviewer": (REVIEWED,)}),
    )
    return replace(plain, **changes)


def comment(**args: Any) -> ActionRequest:
    """A comment on issue 7 of acme/web."""
    plain = {"owner": "acme", "repo": "web", "number": 7, "body": "Seen."}
    return ActionRequest("code", "issue.comment", {**plain, **args})


def ask(action: str, **args: Any) -> ActionRequest:
    """Another action on acme/web."""
    return ActionRequest("code", action, {"owner": "acme", "repo": "web", **args})


def done(rule: str, status: str = "succeeded") -> Outcome:
    """An action of the task that has ended."""
    return Outcome(rule, "code", "issue.comment", status, {"repository": "acme/web", "issue": 7})
