"""What enrolling sets, what it refuses, and what leaving takes away."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward.api.v1alpha1 import AgentTask
from doorward.cli import enrolment
from doorward.cli.enrolment import LABELS
from doorward.render.names import task_labels

SECURITY = "pod-security.kubernetes.io/"


def named(name: str, **metadata: Any) -> dict[str, Any]:
    """An object of which only the metadata is known."""
    return {"metadata": {"name": name, **metadata}}


def task_pod() -> dict[str, Any]:
    """A pod as the operator makes it."""
    owner = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": AgentTask.__name__,
        "name": "fix",
        "controller": True,
    }
    annotations = {"doorward.dev/task": "fix"}
    return named("fix-1", labels=task_labels("r"), annotations=annotations, ownerReferences=[owner])


def test_a_fresh_namespace_gets_every_label() -> None:
    """And one that has them all gets none."""
    assert enrolment.labels_to_set({"team": "a"}) == LABELS
    assert enrolment.labels_to_set({**LABELS, "team": "a"}) == {}


def test_a_restricted_namespace_keeps_its_version() -> None:
    """`latest` is stronger than any number, and the policies would refuse the change."""
    labels = {**LABELS, f"{SECURITY}enforce-version": "latest"}
    weaker = {**LABELS, f"{SECURITY}enforce": "baseline"}

    assert enrolment.labels_to_set(labels) == {}
    assert enrolment.labels_to_set(weaker) == {f"{SECURITY}enforce": "restricted"}


_LABELS = st.dictionaries(
    st.sampled_from([*LABELS, "team"]), st.sampled_from([*LABELS.values(), "baseline", "a"])
)


@given(_LABELS)
def test_enrolling_twice_is_enrolling_once(before: dict[str, str]) -> None:
    """After the first time nothing is left to set, the label is there and Pod Security is restricted."""
    after = {**before, **enrolment.labels_to_set(before)}

    assert enrolment.labels_to_set(after) == {}
    assert (after["doorward.dev/enforced"], after[f"{SECURITY}enforce"]) == ("true", "restricted")
    assert {key: text for key, text in before.items() if key not in LABELS}.items() <= after.items()


@given(_LABELS)
def test_leaving_takes_what_enrolling_set(before: dict[str, str]) -> None:
    """The label goes in any case; others go only where they still say what enrolling made them say."""
    enrolled = {**before, **enrolment.labels_to_set(before)}
    taken = enrolment.labels_to_take(enrolled)
    left = {key: text for key, text in enrolled.items() if key not in taken}

    assert "doorward.dev/enforced" not in left
    assert all(enrolled[key] == LABELS[key] for key in taken)
    assert all(left[key] != LABELS[key] for key in left.keys() & LABELS.keys())
    assert left.get("team") == before.get("team")


def test_before_enrolment_every_pod_is_a_strangers() -> None:
    """Also one that looks like a task's: the operator made none here, so somebody else did."""
    pods = [task_pod(), named("web")]

    assert [item.name for item in enrolment.strangers(pods, enrolled=False)] == ["fix-1", "web"]
    assert [item.name for item in enrolment.strangers(pods, enrolled=True)] == ["web"]


def test_only_the_operators_policies_may_be_there() -> None:
    """By name and label together; kinds of network plugins never."""
    ours = {"app.kubernetes.io/managed-by": "doorward"}
    policies = [
        named("doorward-default-deny", labels=ours),
        named("doorward-role-fixer", labels=ours),
        named("doorward-role-mine"),
        named("allow-dns", labels=ours),
    ]

    found = enrolment.foreign_policies(policies, "NetworkPolicy")
    assert [item.name for item in found] == ["doorward-role-mine", "allow-dns"]
    assert len(enrolment.foreign_policies(policies, "CiliumNetworkPolicy")) == 4


def test_a_binding_gives_to_exactly_one() -> None:
    """One more subject, or another role, is another binding."""
    wanted = enrolment.binding("operator", "agents", "doorward-system")
    more = {**wanted, "subjects": [*wanted["subjects"], {"kind": "User", "name": "mallory"}]}
    other = {**wanted, "roleRef": {**wanted["roleRef"], "name": "admin"}}

    assert [enrolment.is_bound(live, wanted) for live in (wanted, more, other)] == [True, False, False]


def test_each_obstacle_says_what_to_do() -> None:
    """Kind, name and remedy in one line."""
    (found,) = enrolment.held_secrets([named("prod-db")])

    assert str(found).startswith("Secret prod-db: delete it")
