"""AgentRole: the rules that say which actions exist for a kind of agent."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    bounded,
    reason_of,
    rule,
    state_of,
)
from doorward.api.v1alpha1.bounds import Ceilings
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.fields import (
    ActionPattern,
    ApprovalPolicy,
    Compute,
    Count,
    Expression,
    FreeObject,
    Generation,
    Glob,
    Globs,
    Name,
    Resources,
    Sentence,
)

MAX_ARGUMENTS: Final = 8 * 1024
"""Bytes of a rule's argument schema as compact JSON."""


def _schema(value: FreeObject) -> FreeObject:
    return bounded(value, MAX_ARGUMENTS)


class AgentShape(Model):
    """What a pod of this role may look like."""

    images: Annotated[tuple[Glob, ...], Field(max_length=16)] = ()
    """Images that a task may run, as globs; without any, no task of the role runs."""
    runtime_class_name: Name | None = None
    """RuntimeClass that every pod of the role gets."""
    resources: Compute = Compute()
    """Compute of a task that asks for none, and the most that one may ask for."""


class Forbid(Model):
    """What stays out of reach whatever a rule says."""

    repositories: Globs | None = None
    """Repositories as owner/name or globs over them."""
    environments: Globs | None = None
    """Deployment environments."""
    branches: Globs | None = None
    """Branches."""
    paths: Globs | None = None
    """Paths inside a repository, e.g. `.github/**`; `*` stays within a segment, `**` crosses slashes."""


class Limits(Model):
    """How much of a rule one task may use."""

    per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Actions in any one minute."""
    per_task: Count | None = None
    """Actions in the whole life of the task."""
    diff_lines: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Lines added and removed by one change."""
    files: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Files touched by one change."""


class Rule(Model):
    """One row of a role. An action exists for the agent only if a rule names it."""

    name: Name
    """Name of the rule, as denials, stages and the ledger show it."""
    connector: Name
    """Connector that carries the actions out."""
    actions: Annotated[tuple[ActionPattern, ...], Field(min_length=1, max_length=64)]
    """Actions of the connector, e.g. issue.comment; `*` reaches those with effect read and draft only."""
    resources: Resources = Field(default_factory=dict)
    """Attribute of the resource to globs, e.g. `repository: ["acme/*"]`; an attribute that is left out may be
    anything that the Connector's ceiling allows."""
    arguments: Annotated[
        FreeObject,
        AfterValidator(_schema),
        Field(max_length=32, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = Field(default_factory=dict)
    """JSON Schema that narrows the arguments of the actions, at most 8 KiB."""
    limits: Limits = Limits()
    """How much of this rule one task may use."""
    when: Expression | None = None
    """CEL condition that must be true at the time of the decision."""
    approval: ApprovalPolicy | None = None
    """People who must agree to each action before it happens."""


class Delegation(Model):
    """Which tasks an agent in this role may start; none of them can do what its own task cannot."""

    roles: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16)]
    """Roles of the same namespace that children run in."""
    depth: Annotated[int, Field(ge=1, le=3)] = 1
    """How many generations may live below a task of this role."""
    tasks: Annotated[int, Field(ge=1, le=100)] = 1
    """How many children one task may start in its whole life."""


class AgentRoleSpec(Model):
    """Which actions exist for agents in this role. Narrowing acts at once, widening on new tasks only."""

    description: Sentence | None = None
    """What agents in this role are for."""
    agent: AgentShape = AgentShape()
    """What a pod of this role may look like."""
    forbid: Forbid = Forbid()
    """What stays out of reach whatever a rule says."""
    rules: Annotated[
        tuple[Rule, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """The actions that exist; what no rule names does not exist for the agent."""
    ceilings: Ceilings = Ceilings()
    """Bounds over all tasks of the role together."""
    delegation: Delegation | None = None
    """Tasks that agents in this role may start; without it, none."""


class AgentRoleStatus(Observed):
    """Whether the role can be used as written."""

    conditions: Conditions = ()
    """Accepted: every rule can be held by the Connector it names."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""


class AgentRole(Resource):
    """A kind of agent: the actions that exist for it, their bounds, and who must agree."""

    kind_info: ClassVar[Kind] = Kind(
        plural="agentroles",
        singular="agentrole",
        short_names=("ar",),
        columns=(
            state_of("Accepted"),
            reason_of("Accepted"),
            AGE,
            Column("Description", ".spec.description", priority=1, description="What the role is for."),
        ),
        validations=(
            rule(
                "size(self.metadata.name) <= 63",
                "the name becomes a label of the pods: use at most 63 characters",
            ),
        ),
    )

    spec: AgentRoleSpec
    """Which actions exist for agents in this role."""
    status: AgentRoleStatus = AgentRoleStatus()
    """Whether the role can be used as written."""
