"""AgentTask: one agent, one purpose, one pod, one short life."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, StringConstraints

from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    bounded,
    immutable,
    reason_of,
    rule,
    ruled,
    state_of,
    validations,
)
from doorward.api.v1alpha1.bounds import Tokens
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.conduct import Conduct
from doorward.api.v1alpha1.fields import (
    Bytes,
    Compute,
    Count,
    Decimals,
    Expression,
    FreeObject,
    Generation,
    Globs,
    Name,
    ObjectName,
    Timestamp,
    Uid,
    User,
    form,
    span,
)
from doorward.core.effect import Effect

MAX_INPUT: Final = 64 * 1024
"""Bytes of `spec.input` as compact JSON."""

_IMAGE: Final = r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$"

Argument = Annotated[str, StringConstraints(max_length=4096)]


def _input(value: FreeObject) -> FreeObject:
    return bounded(value, MAX_INPUT)


class EnvVar(Model):
    """An environment variable with a literal value; there is no way to name a secret."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=128)]
    """Name of the variable; names that begin with DOORWARD_ are taken."""
    value: Argument = ""
    """Its value, as it stands."""


class Agent(Model):
    """The program that runs."""

    image: Annotated[
        str,
        StringConstraints(pattern=_IMAGE, min_length=1, max_length=512),
        Field(json_schema_extra=form(_IMAGE, "write registry, path and tag or digest, e.g. example.org/a:1")),
    ]
    """Image of the agent; the role says which ones it accepts."""
    command: Annotated[tuple[Argument, ...], Field(max_length=64)] = ()
    """Replaces the entry point of the image."""
    args: Annotated[tuple[Argument, ...], Field(max_length=64)] = ()
    """Replaces the arguments of the image."""
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
            | validations(
                rule(
                    "self.all(e, !e.name.startsWith('DOORWARD_'))",
                    "names that begin with DOORWARD_ are set by Doorward: choose another name",
                )
            ),
        ),
    ] = ()
    """Environment variables with literal values; references to Secrets do not exist here."""
    resources: Compute = Compute()
    """Compute that this task wants, within what the role allows."""
    working_dir: Annotated[str | None, StringConstraints(pattern=r"^/[^\x00]*$", max_length=256)] = None
    """Directory the agent starts in; /workspace if left out."""
    runtime_class_name: Name | None = None
    """RuntimeClass of the pod; must be the one of the role, where the role names one."""


class Scope(Model):
    """What this task may touch, within what its role allows. It only ever narrows."""

    repositories: Globs | None = None
    """Repositories as owner/name or globs over them."""
    environments: Globs | None = None
    """Deployment environments."""
    paths: Globs | None = None
    """Paths inside a repository; `*` stays within a segment, `**` crosses slashes."""


class Stage(Model):
    """A step of the task with its own rules."""

    name: Name
    """Name of the stage, as denials show it."""
    rules: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    """Rules of the role that exist in this stage."""
    when: Expression | None = None
    """CEL condition over `outcomes` that opens this stage and leaves the one before."""


class Budgets(Model):
    """What the whole task may use up."""

    actions: Annotated[Mapping[Effect, Count], Field(max_length=7)] = Field(default_factory=dict)
    """How many actions the task may take, by effect: read, draft, merge, deploy, rollback, destroy, admin."""
    bytes: Bytes | None = None
    """How much the task may send and read through the door, in Ki, Mi or Gi; one action takes at most its own
    arguments and 4Mi of an answer."""
    tokens: Tokens | None = None
    """How many model tokens the task may use."""
    spend: Decimals | None = None
    """How much the task may spend on models, as a decimal in the connector's currency."""


class Parent(Model):
    """The task that started this one."""

    name: ObjectName
    """Its name, in the same namespace."""
    uid: Uid
    """Its UID: a later task of that name is somebody else's."""


class AgentTaskSpec(Model):
    """What an agent is to do, as whom, within which bounds. Never changes: a new purpose is a new task."""

    model_config = ruled(immutable("delete the task and apply it under another name"))

    role: Name
    """AgentRole in the same namespace; the author needs the verb `use` on it."""
    agent: Agent
    """The program that runs."""
    input: Annotated[
        FreeObject,
        AfterValidator(_input),
        Field(max_length=256, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = Field(default_factory=dict)
    """Free JSON of at most 64 KiB, read by the agent at GET /v1/task."""
    scope: Scope = Scope()
    """What this task may touch, within what its role allows; it only ever narrows."""
    stages: Annotated[
        tuple[Stage, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Steps in order; only the rules of the current stage exist. Without stages all rules of the role do."""
    budgets: Budgets = Budgets()
    """What the whole task may use up."""
    deadline: span("10s", "24h") = "1h"  # type: ignore[valid-type]
    """How long the agent may run before its pod is ended."""
    ttl_after_finished: span("1s", "720h") = "24h"  # type: ignore[valid-type]
    """How long the finished task stays to be read."""
    requested_by: User | None = None
    """Who wants this done; filled in from the request, another name needs the verb `requestfor`."""
    created_by: User | None = None
    """Who made this object; filled in from the request, another name is refused."""
    parent: Parent | None = None
    """Task whose agent started this one; set by the broker alone. A child can do nothing that its parent
    cannot, and ends with it."""


class Phase(StrEnum):
    """Where a task stands, in one word for people; programs read the conditions."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    EXPIRED = "Expired"
    FROZEN = "Frozen"
    REVOKED = "Revoked"
    REFUSED = "Refused"

    @property
    def final(self) -> bool:
        """Whether the task can never run again."""
        return self not in {Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.FROZEN}


class AgentTaskStatus(Observed):
    """What became of the task. No authority is ever read from it."""

    phase: Phase | None = None
    """Where the task stands, in one word for people."""
    conditions: Conditions = ()
    """Accepted, PolicyReady, IdentityReady, FenceProven, Running and Complete."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""
    conduct: Conduct | None = None
    """How the broker treats the task after what it did; absent while it never gave reason."""
    pod_name: Annotated[str | None, StringConstraints(max_length=253)] = None
    """The pod of this task; there is never a second one."""
    started_at: Timestamp | None = None
    """When the agent container started."""
    finished_at: Timestamp | None = None
    """When the task ended."""


class AgentTask(Resource):
    """One AI agent with one purpose in one pod that holds nothing."""

    kind_info: ClassVar[Kind] = Kind(
        plural="agenttasks",
        singular="agenttask",
        short_names=("at",),
        columns=(
            Column("Role", ".spec.role", description="Role the agent acts in."),
            Column("Phase", ".status.phase", description="Where the task stands."),
            reason_of("Accepted"),
            AGE,
            Column("Conduct", ".status.conduct.grade", priority=1, description="How it is treated."),
            Column("Pod", ".status.podName", priority=1, description="Pod of the task."),
            Column("Requested By", ".spec.requestedBy", priority=1, description="Who wants this done."),
            Column("Deadline", ".spec.deadline", priority=1, description="Longest run."),
            state_of("FenceProven", priority=1),
        ),
    )

    spec: AgentTaskSpec
    """What the agent is to do, as whom, within which bounds."""
    status: AgentTaskStatus = AgentTaskStatus()
    """What became of the task."""
