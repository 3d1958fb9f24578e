"""A namespace with one task, as admission knows it, and questions about it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import podattacks
import pytest
from admissionworld import OPERATOR, connector_document, grant_document, role_document, task_document

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Grant
from doorward.render import RenderSettings, render_pod
from doorward_webhooks.admission import literals
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Operation, Review, User


@dataclass
class Objects:
    """What is known, by name; tests take away and add."""

    tasks: dict[str, AgentTask] = field(default_factory=dict)
    roles: dict[str, AgentRole] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    all_connectors: dict[str, Connector] = field(default_factory=dict)
    enrolled_namespaces: frozenset[str] = frozenset({"agents"})

    def task(self, namespace: str, name: str) -> AgentTask | None:
        """A task by name."""
        return self.tasks.get(name) if namespace == "agents" else None

    def role(self, namespace: str, name: str) -> AgentRole | None:
        """A role by name."""
        return self.roles.get(name) if namespace == "agents" else None

    def grant(self, namespace: str, name: str) -> Grant | None:
        """A grant by name."""
        return self.grants.get(name) if namespace == "agents" else None

    def enrolled(self, namespace: str) -> bool:
        """Whether agents run there."""
        return namespace in self.enrolled_namespaces

    def connectors(self) -> Mapping[str, Connector]:
        """All of them."""
        return self.all_connectors


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """What an earlier test had looked at is looked at again: a test is of the code as it is."""
    literals._innocent.cache_clear()


@pytest.fixture
def objects() -> Objects:
    return Objects(
        tasks={"fix-7": AgentTask.parse(task_document())},
        roles={"bug-fixer": AgentRole.parse(role_document())},
        grants={"grant-1": Grant.parse(grant_document())},
        all_connectors={"code": Connector.parse(connector_document())},
    )


@pytest.fixture
def settings() -> RenderSettings:
    ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    image = b'{"doorImage": "registry.example/door@sha256:' + b"a" * 64 + b'"}'
    return RenderSettings.load(image, ca_pem=ca, broker_ip="10.96.0.10")


@pytest.fixture
def around(objects: Objects, settings: RenderSettings) -> Surroundings:
    return Surroundings(OPERATOR, objects, (settings,))


@pytest.fixture
def pod(objects: Objects, settings: RenderSettings) -> dict[str, Any]:
    """The pod that the operator would make, as it reaches admission."""
    rendered = render_pod(
        objects.tasks["fix-7"], objects.roles["bug-fixer"], objects.all_connectors, settings
    )
    added = {"uid": "11111111-2222-4333-8444-555555555555", "creationTimestamp": "2026-11-01T00:00:00Z"}
    found = copy.deepcopy(rendered)
    found["metadata"].update(added)
    found["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    return found


@dataclass(frozen=True)
class Ask:
    """Makes questions: the operator creates a pod, unless said otherwise."""

    pod: Mapping[str, Any]

    def __call__(self, **changes: Any) -> Review:
        """The question with these members changed."""
        base = Review(
            uid="705ab4f5-6393-11e8-b7cc-42010a800002",
            operation=Operation.CREATE,
            group="",
            resource="pods",
            subresource="",
            namespace="agents",
            name="",
            user=User(OPERATOR),
            object=self.pod,
            old=None,
        )
        return replace(base, **changes)


@pytest.fixture
def ask(pod: dict[str, Any]) -> Ask:
    return Ask(pod)


@pytest.fixture
def envelope(pod: dict[str, Any]) -> dict[str, Any]:
    """An AdmissionReview as the API server sends it."""
    text = (podattacks.TESTS / "vectors" / "admission-review.json").read_text()
    review: dict[str, Any] = json.loads(text)
    review["request"]["object"] = pod
    return review
