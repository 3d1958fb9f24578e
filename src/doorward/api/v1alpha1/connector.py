"""Connector: the hands for one upstream, and what each tenant may have them do at most."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from doorward.api.v1alpha1.agentrole import Forbid
from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    rule,
    ruled,
    state_of,
)
from doorward.api.v1alpha1.bounds import TenantCeilings
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.fields import (
    ApprovalPolicy,
    Digest,
    Generation,
    LabelKey,
    LabelValue,
    Name,
    Resources,
    form,
)
from doorward.core.effect import Effect

_VALUES: Final = rule(
    "self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || size(self.values) == 0"
    " : has(self.values) && size(self.values) > 0",
    "In and NotIn take at least one value, Exists and DoesNotExist take none: add or remove values",
)
_SOME: Final = rule(
    "(has(self.matchLabels) && size(self.matchLabels) > 0)"
    " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    "an empty selector would admit every namespace: name a label, e.g. kubernetes.io/metadata.name",
)


_ENDPOINT: Final = r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$"
_AUDIENCE: Final = r"^[a-z][a-zA-Z0-9:._-]*$"


class SelectorRequirement(Model):
    """One requirement on the labels."""

    model_config = ruled(_VALUES)

    key: LabelKey
    """Label that the requirement is about."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared: In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=32)] = ()
    """Values for In and NotIn."""


class LabelSelector(Model):
    """All requirements must hold. An empty selector is refused: it would admit everybody."""

    model_config = ruled(_SOME)

    match_labels: Annotated[Mapping[LabelKey, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """Labels with exactly these values."""
    match_expressions: Annotated[tuple[SelectorRequirement, ...], Field(max_length=16)] = ()
    """Further requirements on labels."""


class Namespaces(Model):
    """Which namespaces are meant."""

    selector: LabelSelector
    """Labels of the namespaces."""


class Tenant(Model):
    """What the tasks of some namespaces may do at most."""

    namespaces: Namespaces
    """Which namespaces are meant."""
    resources: Resources = Field(default_factory=dict)
    """Attribute of the resource to globs, e.g. `repository: ["team-a/*"]`; all that are named must match."""
    effects: Annotated[tuple[Effect, ...], Field(min_length=1, max_length=7)]
    """Effects within reach: read, draft, merge, deploy, rollback, destroy, admin."""
    forbid: Forbid = Forbid()
    """What stays out of reach of these namespaces, whatever another tenant entry allows."""
    approval: ApprovalPolicy | None = None
    """People who must agree to each action that this entry allows, whatever another entry says."""
    ceilings: TenantCeilings = TenantCeilings()
    """How much the tasks of each of these namespaces may do together."""


class Service(Model):
    """Where a connector listens."""

    namespace: Name
    """Namespace of the Service."""
    name: Name
    """Name of the Service."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8443
    """Port of the Service; it speaks TLS."""


class ContinuousIntegration(StrEnum):
    """With whose privileges the upstream runs what agents push."""

    ISOLATED = "isolated"
    SHARED = "shared"


class ConnectorSpec(Model):
    """One upstream, reached by one connector with one credential."""

    type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", min_length=1, max_length=32)]
    """Vocabulary that the connector speaks, e.g. forge."""
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", min_length=1, max_length=32)]
    """Product behind the vocabulary, e.g. gitea or github."""
    zone: Name
    """Trust area: repository, ci, cloud, chat, model, telemetry, execution or one of your own."""
    endpoint: Annotated[
        str,
        StringConstraints(pattern=_ENDPOINT, max_length=512),
        Field(json_schema_extra=form(_ENDPOINT, "write https://host or https://host/path, without a query")),
    ]
    """Base URL of the upstream; the connector calls no other origin."""
    service: Service
    """Where the connector listens."""
    audience: Annotated[
        str,
        StringConstraints(pattern=_AUDIENCE, min_length=1, max_length=128),
        Field(json_schema_extra=form(_AUDIENCE, "write connector: and its name, e.g. connector:code")),
    ]
    """Audience of its capabilities, e.g. connector:code; no two Connectors share one."""
    catalogue_hash: Digest
    """Digest of the catalogue that is in force; a connector or door with another one is not used."""
    ci: ContinuousIntegration = ContinuousIntegration.SHARED
    """Whether the upstream's CI runs agents' branches without privileges (isolated) or with them (shared)."""
    tenants: Annotated[tuple[Tenant, ...], Field(max_length=64)] = ()
    """What the tasks of which namespaces may do at most; a namespace that no entry selects may do nothing."""


class ConnectorStatus(Observed):
    """Whether the connector can be used."""

    conditions: Conditions = ()
    """Ready: the connector answers with the pinned catalogue."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""


class Connector(Resource):
    """The hands for one upstream, and what each tenant may have them do at most."""

    kind_info: ClassVar[Kind] = Kind(
        plural="connectors",
        singular="connector",
        short_names=("conn",),
        columns=(
            Column("Type", ".spec.type", description="Vocabulary that the connector speaks."),
            Column("Provider", ".spec.provider", description="Product behind it."),
            Column("Zone", ".spec.zone", description="Trust area."),
            state_of("Ready"),
            AGE,
            Column("Endpoint", ".spec.endpoint", priority=1, description="Base URL of the upstream."),
            Column("Audience", ".spec.audience", priority=1, description="Audience of its capabilities."),
        ),
        validations=(
            rule(
                "size(self.metadata.name) <= 63",
                "the name becomes part of Service names: use at most 63 characters",
            ),
        ),
        namespaced=False,
    )

    spec: ConnectorSpec
    """One upstream, reached by one connector with one credential."""
    status: ConnectorStatus = ConnectorStatus()
    """Whether the connector can be used."""
