"""What a decision is made from: values only, gathered by the caller, never fetched from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.core import digest
from doorward.core.action import ActionType, Attachment
from doorward.core.decision import Principal
from doorward.core.strictjson import Json, JsonObject
from doorward.policy.facts import Facts

GrantState = Literal["pending", "active", "exhausted", "expired", "denied", "revoked", "stale"]


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What the agent asks for. The resource is derived from the arguments, never taken from here."""

    connector: str
    action: str
    args: JsonObject
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Approver:
    """One person who agreed to a Grant."""

    user: str
    at: float
    """When the ledger took it in, in seconds since the epoch."""

    def value(self) -> dict[str, Json]:
        """The members that conditions see."""
        return {"user": self.user, "at": int(self.at)}


@dataclass(frozen=True, slots=True)
class GrantFact:
    """A Grant of the task, as the ledger knows it."""

    uid: str
    rule: str
    connector: str
    action: str
    digest: str
    """Of the action with exactly its arguments."""
    policy_hash: str
    """`Context.policy_hash` at the time of asking: what people agreed under."""
    state: GrantState
    quorum: int
    uses: int
    max_uses: int
    expires_at: float
    """Until when it waits or may be used, in seconds since the epoch."""
    approved: tuple[Approver, ...] = ()

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who agreed."""
        return tuple(item.user for item in self.approved)


@dataclass(frozen=True, slots=True)
class Context:
    """Everything the policy may look at. Raises `ValueError` when the parts do not belong together."""

    task: AgentTask
    pinned_role: AgentRole
    """The role as it was when the task was accepted."""
    current_role: AgentRole | None
    """The role as it is now; None when it has been deleted."""
    connector: Connector | None
    """The Connector that the request names; None when there is none."""
    actions: Mapping[str, ActionType]
    """Vocabulary of the Connector's type."""
    catalogue_hash: str
    """Digest of that vocabulary."""
    namespace_labels: Mapping[str, str]
    """Labels of the task's namespace."""
    now: float
    """Seconds since the epoch."""
    ended: bool = False
    frozen: bool = False
    revoked: bool = False
    cautious: bool = False
    """Whether the task behaves so that people are asked about every action above `read`."""
    grants: tuple[GrantFact, ...] = ()
    """The task's Grants for the action at hand, the one asked for last first."""
    facts: Facts = field(default_factory=Facts)
    """What conditions see of the ledger and of the upstream."""
    parent: Context | None = None
    """The same for the task that started this one; None where a person did."""

    def __post_init__(self) -> None:
        home = (self.task.metadata.namespace, self.task.spec.role)
        for role in (self.pinned_role, self.current_role):
            if role is not None and home != (role.metadata.namespace, role.metadata.name):
                msg = (
                    f"the task belongs to role {home}, not to {role.metadata.namespace}/{role.metadata.name}"
                )
                raise ValueError(msg)
        self._check_parent()

    def _check_parent(self) -> None:
        named, found = self.task.spec.parent, self.parent
        if (named and named.uid) != (found and found.task.metadata.uid):
            msg = f"the task names parent {named and named.uid}, and another one is given, or none"
            raise ValueError(msg)

    @property
    def lineage(self) -> tuple[Context, ...]:
        """This task and those above it, nearest first."""
        return (self, *(self.parent.lineage if self.parent else ()))

    @property
    def principal(self) -> Principal:
        """For whom the action would happen."""
        task = self.task
        return Principal(
            task_uid=task.metadata.uid,
            task=task.metadata.name,
            namespace=task.metadata.namespace,
            role=task.spec.role,
            requested_by=task.spec.requested_by or "",
        )

    @property
    def policy_hash(self) -> str:
        """Digest of contents and UIDs of everything that the policy evaluates."""
        parts = (self.task, self.pinned_role, self.current_role, self.connector)
        above = {"parent": self.parent.policy_hash} if self.parent else {}
        return digest.of_json(
            {
                "objects": [part and part.content_digest for part in parts],
                "catalogue": self.catalogue_hash,
                "labels": dict(self.namespace_labels),
                **above,
            }
        )
