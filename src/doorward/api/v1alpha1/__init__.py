"""`doorward.dev/v1alpha1`: frozen models of the custom resources, one module per kind.

`parse(raw)` of each model takes the object as the API server gives it and raises
`Refusal(malformed)` that lists everything wrong at once. A spec with a field that this version does
not know is refused: it could be a constraint that nobody would hold.
"""

from __future__ import annotations

from doorward.api.v1alpha1.agentrole import (
    AgentRole,
    AgentRoleSpec,
    AgentRoleStatus,
    AgentShape,
    Delegation,
    Forbid,
    Limits,
    Rule,
)
from doorward.api.v1alpha1.agenttask import (
    Agent,
    AgentTask,
    AgentTaskSpec,
    AgentTaskStatus,
    Budgets,
    EnvVar,
    Parent,
    Phase,
    Scope,
    Stage,
)
from doorward.api.v1alpha1.approval import Answer, Approval, ApprovalSpec, ApprovalStatus, approval_name
from doorward.api.v1alpha1.base import GROUP, VERSION, Kind, ObjectMeta, Resource
from doorward.api.v1alpha1.bounds import Allowance, Ceilings, Spending, TenantCeilings
from doorward.api.v1alpha1.conditions import Condition, ConditionType, merge
from doorward.api.v1alpha1.connector import (
    Connector,
    ConnectorSpec,
    ConnectorStatus,
    ContinuousIntegration,
    LabelSelector,
    Namespaces,
    SelectorRequirement,
    Service,
    Tenant,
)
from doorward.api.v1alpha1.fields import ApprovalPolicy, Compute, Quantities
from doorward.api.v1alpha1.grant import Escalation, Grant, GrantPhase, GrantSpec, GrantStatus, ObjectRef
from doorward.api.v1alpha1.revocation import Revocation, RevocationSpec, RevocationStatus
from doorward.api.v1alpha1.thaw import Thaw, ThawSpec, ThawStatus

KINDS: tuple[type[Resource], ...] = (AgentTask, AgentRole, Grant, Approval, Revocation, Thaw, Connector)
"""Every kind of the group."""

__all__ = [
    "GROUP",
    "KINDS",
    "VERSION",
    "Agent",
    "AgentRole",
    "AgentRoleSpec",
    "AgentRoleStatus",
    "AgentShape",
    "AgentTask",
    "AgentTaskSpec",
    "AgentTaskStatus",
    "Allowance",
    "Answer",
    "Approval",
    "ApprovalPolicy",
    "ApprovalSpec",
    "ApprovalStatus",
    "Budgets",
    "Ceilings",
    "Compute",
    "Condition",
    "ConditionType",
    "Connector",
    "ConnectorSpec",
    "ConnectorStatus",
    "ContinuousIntegration",
    "Delegation",
    "EnvVar",
    "Escalation",
    "Forbid",
    "Grant",
    "GrantPhase",
    "GrantSpec",
    "GrantStatus",
    "Kind",
    "LabelSelector",
    "Limits",
    "Namespaces",
    "ObjectMeta",
    "ObjectRef",
    "Parent",
    "Phase",
    "Quantities",
    "Resource",
    "Revocation",
    "RevocationSpec",
    "RevocationStatus",
    "Rule",
    "Scope",
    "SelectorRequirement",
    "Service",
    "Spending",
    "Stage",
    "Tenant",
    "TenantCeilings",
    "Thaw",
    "ThawSpec",
    "ThawStatus",
    "approval_name",
    "merge",
]
