"""What the watches tell is known at once, and what cannot be parsed is absent."""

from __future__ import annotations

from typing import Any

import pytest
from admissionworld import connector_document, grant_document, role_document, task_document

from doorward.kube import Change, ChangeType
from doorward_webhooks.admission.caches import Caches


@pytest.fixture
def caches() -> Caches:
    """Caches whose informers are not run: the tests tell of changes."""
    return Caches(None)  # type: ignore[arg-type]


def tell(
    caches: Caches, number: int, document: dict[str, Any], kind: ChangeType = ChangeType.PRESENT
) -> None:
    """One change of tasks (0), roles (1), grants (2), connectors (3) or namespaces (4)."""
    caches.informers[number]._on_event(Change(kind, document))


def test_each_kind_is_found_by_name(caches: Caches) -> None:
    """Tasks, roles, grants and connectors."""
    documents = (task_document(), role_document(), grant_document(), connector_document())
    for number, document in enumerate(documents):
        tell(caches, number, document)

    assert caches.task("agents", "fix-7") is not None
    assert caches.role("agents", "bug-fixer") is not None
    assert caches.grant("agents", "grant-1") is not None
    assert list(caches.connectors()) == ["code"]
    assert set(caches.sizes().values()) == {1, 0}


def namespace(enforced: str | None) -> dict[str, Any]:
    """A namespace with the label, or without."""
    labels = {} if enforced is None else {"doorward.dev/enforced": enforced}
    return {"metadata": {"name": "agents", "labels": labels}}


def test_where_agents_run_is_known_by_the_label(caches: Caches) -> None:
    """A namespace that leaves, or goes, is not one of them any more."""
    told = [
        (namespace("true"), ChangeType.PRESENT),
        (namespace(None), ChangeType.PRESENT),
        (namespace("true"), ChangeType.PRESENT),
        (namespace("true"), ChangeType.GONE),
    ]
    found = []
    for document, kind in told:
        tell(caches, 4, document, kind)
        found.append(caches.enrolled("agents"))

    assert found == [True, False, True, False]
    assert caches.sizes()["namespaces"] == 0


def test_another_namespace_has_other_tasks(caches: Caches) -> None:
    """A task is never taken for one of the same name elsewhere."""
    tell(caches, 0, task_document())

    assert caches.task("elsewhere", "fix-7") is None


def test_what_is_gone_is_not_known(caches: Caches) -> None:
    """A deleted task makes no pods."""
    tell(caches, 0, task_document())
    tell(caches, 0, task_document(), ChangeType.GONE)

    assert caches.task("agents", "fix-7") is None


def test_what_cannot_be_parsed_replaces_what_could(caches: Caches) -> None:
    """An object that became unreadable is not remembered as it was before."""
    tell(caches, 0, task_document())
    tell(caches, 0, task_document(constraint="that nobody knows"))

    assert caches.task("agents", "fix-7") is None


def test_it_says_what_it_waits_for(caches: Caches) -> None:
    """A replica is not asked before it knows what is there."""
    waits = caches.waits_for()
    for informer in caches.informers:
        informer.synced.set()

    assert (len(waits), caches.waits_for()) == (5, [])
