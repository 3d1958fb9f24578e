"""Without any webhook the policies refuse by themselves; what they leave to the webhook is written down.

docs/admission-guards.md is made from this run. After a wanted change: delete it, run twice, read it.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import Any

import podattacks
import pytest
from apiclient import Answer
from forgeries import forgeries
from generatedpods import generated

from devcluster import tools
from doorward.render import differences
from doorward_webhooks.admission.fence import fence
from doorward_webhooks.admission.walk import POD, known, walk

PAGE = podattacks.TESTS.parent / "docs" / "admission-guards.md"
LEFT = tomllib.loads((podattacks.TESTS / "attacks" / "differences.toml").read_text())
"""Differences between the policies and the walk, and why there are."""
GUARDS = ("policies", "server", "dropped", "webhook alone")
HEAD = """# Which guard stops which way to a secret

Made by `tests/api/admission/test_floor.py` on a Kubernetes 1.34 API server; the numbers are those of
[admission](admission.md). Every case of `tests/attacks/pods/` is sent by the operator's own account, the
only one that makes pods. The webhook refuses each of them. The columns say what is left without it: how many
cases the policies refuse, how many the server finds invalid or not restricted (Pod Security), and in how many
it drops or corrects a field, so that nothing is gained. In the last column are those that only the webhook
refuses; while it is away nothing is admitted at all, because it fails closed.

| item | what | policies | server | dropped | webhook alone |
|---|---|---|---|---|---|
"""
PEOPLE = """
## Asking and answering as somebody else

The cases of `tests/attacks/people/`, each sent by somebody who may write every kind of ours. While the
webhook is away new Grants and Approvals wait, because it fails closed; what it alone refuses, the broker
refuses once more when it counts an answer.

| what | refused by |
|---|---|
"""


@dataclass(frozen=True)
class Judged:
    """What was said of a pod."""

    status: int
    refused: str
    """The policy's message; empty when none refused."""
    reasons: frozenset[str]
    """Names of the walk's and the fence's reasons, for what the server would store."""
    equal: bool
    """Whether what would be stored is what was rendered."""


def guard_of(answer: Answer, pod: dict[str, Any]) -> str:
    """Which guard stopped a pod of the operator while there is no webhook."""
    if answer.status == 201:
        return "webhook alone" if differences(answer.document, pod) else "dropped"
    return "policies" if "ValidatingAdmissionPolicy" in answer.message else "server"


@pytest.fixture(scope="module")
def clean(floor_only: Any) -> Any:
    """The pod of a task, while there is no webhook."""
    document = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentTask",
        "metadata": {"name": "floor", "namespace": "agents"},
        "spec": {"role": "bug-fixer", "agent": {"image": "registry.example/agents/fixer:1.2"}},
    }
    floor_only.kubectl.apply(document)
    yield floor_only.rendered("floor")
    floor_only.kubectl("-n", "agents", "delete", "agenttask", "floor")


@pytest.fixture(scope="module")
def answers(floor_only: Any, clean: dict[str, Any]) -> dict[str, Answer]:
    """What the server answers to each attack, by the attack's name."""
    return {case.name: floor_only.create_pod(case.applied(clean)[0]) for case in podattacks.cases()}


def table(found: dict[str, list[str]], says: dict[str, str]) -> str:
    """The page."""
    rows = []
    for item in sorted(found, key=int):
        counts = [str(found[item].count(guard) or "") for guard in GUARDS]
        rows.append(f"| {item} | {says[item]} | {' | '.join(counts)} |")
    return HEAD + "\n".join(rows) + "\n"


def forged(world: Any, asked: str) -> str:
    """The part of the page about people."""
    rows = []
    for forgery in forgeries():
        answer = forgery.tried(world.api, asked)
        guard = "the policies" if "ValidatingAdmissionPolicy" in answer.message else "the server"
        rows.append(f"| {forgery.what} | {guard if answer.status >= 400 else 'the webhook'} |")
    return PEOPLE + "\n".join(rows) + "\n"


def test_the_table_of_guards_is_true(
    floor_only: Any, clean: dict[str, Any], answers: dict[str, Answer], asked: str
) -> None:
    """Each known way to a secret, stopped by what the page says it is stopped by.

    The page is of the node's minor; on another one no more is left to the webhook.
    """
    found: dict[str, list[str]] = {}
    says: dict[str, str] = {}
    for case in podattacks.cases():
        guard = guard_of(answers[case.name], clean)
        found.setdefault(case.item, []).append(guard)
        says[case.item] = case.says
    page = table(found, says) + forged(floor_only, asked)
    if not PAGE.exists():
        PAGE.write_text(page)
        pytest.fail(f"{PAGE.name} was missing: it is written now, read it and run again")

    if tools.api_server() == "kube-apiserver":
        assert page == PAGE.read_text()
    else:
        more = [item for item, guards in found.items() if guards.count("webhook alone") > at_most(item)]
        assert more == []


def at_most(item: str) -> int:
    """How many cases another minor may leave to the webhook: those of the page, and fields 1.34 drops."""
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {item} |"))
    *_, dropped, alone, _ = row.split("|")
    return int(dropped.strip() or 0) + int(alone.strip() or 0)


def test_the_clean_pod_passes_the_floor(floor_only: Any, clean: dict[str, Any]) -> None:
    """The policies do not stand in the way of what the webhook would admit."""
    assert floor_only.create_pod(clean).message == ""


MUST = (
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "11",
    "13",
    "18",
    "19",
    "27",
    "32",
    "33",
    "34",
    "38",
    "42",
    "49",
    "50",
)


@pytest.mark.parametrize("item", MUST)
def test_the_floor_holds_the_main_ways(item: str, answers: dict[str, Answer], clean: dict[str, Any]) -> None:
    """Secrets, tokens, host and neighbours are never left to the webhook alone."""
    left = [
        case.name
        for case in podattacks.cases()
        if case.item == item and guard_of(answers[case.name], clean) == "webhook alone"
    ]

    assert left == EXPLAINED.get(item, [])


EXPLAINED = {"42": ["42-placement-4"]}
"""Left to the webhook: spreading over nodes is no harm by itself, it is only not what was rendered."""


@pytest.fixture(scope="module")
def judged(floor_only: Any, clean: dict[str, Any]) -> list[Judged]:
    """Generated pods, by what both sides say of them.

    DOORWARD_GENERATED_PODS makes it a longer run, DOORWARD_GENERATED_SEED one of other pods.
    """
    count, seed = (
        int(os.environ.get(f"DOORWARD_GENERATED_{name}", usual))
        for name, usual in (("PODS", 300), ("SEED", 7))
    )
    pods = generated(clean, count, seed)
    return [judgement(floor_only.create_pod(pod), clean, pod) for pod in pods]


def judgement(answer: Answer, clean: dict[str, Any], pod: dict[str, Any]) -> Judged:
    """What the policies on the server said of a pod, and what walk, fence and equality say here."""
    refused = answer.message if "ValidatingAdmissionPolicy" in answer.message else ""
    stored = answer.document if answer.status == 201 else pod
    names = {reason: name for name, reason in known().reasons.items()}
    found = {names[item.reason] for item in (*walk(stored, POD), *fence(stored, POD))}
    return Judged(answer.status, refused, frozenset(found), equal=not differences(stored, clean))


def test_the_floor_never_refuses_what_the_webhook_admits(judged: list[Judged]) -> None:
    """Differential: a pod that the policies refuse differs from the rendered one."""
    assert [item for item in judged if item.refused and item.equal] == []


def test_what_the_floor_refuses_and_the_walk_does_not_is_explained(judged: list[Judged]) -> None:
    """Where the policies are stricter than the walk, a sentence says why; equality refuses these pods."""
    found = {
        sentence
        for item in judged
        if item.refused and not item.reasons
        for sentence in [item.refused.rpartition("denied request: ")[2]]
        if not sentence.startswith(tuple(LEFT["policies"]))
    }

    assert found == set()


def test_what_the_walk_refuses_and_the_floor_admits_is_explained(judged: list[Judged]) -> None:
    """Each reason for which only the webhook refuses a pod that the server stores has its sentence."""
    found = {reason for item in judged if item.status == 201 for reason in item.reasons}

    assert found - set(LEFT["reasons"]) == set()


def test_nothing_is_explained_that_is_no_difference_any_more(
    answers: dict[str, Answer], clean: dict[str, Any]
) -> None:
    """A sentence that outlives its difference would hide the next one: each has an attack that shows it."""
    tried = [judgement(answers[case.name], clean, case.applied(clean)[0]) for case in podattacks.cases()]
    found = {reason for item in tried if item.status == 201 for reason in item.reasons}

    assert set(LEFT["reasons"]) - found == set()
