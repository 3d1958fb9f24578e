"""The roles in examples/roles behave as their texts say, clause by clause.

Their actions are not in the catalogue of this release: the vocabulary is the test's own, and one test
below says that the operator refuses each role until the real one has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from policyworld import API, FORGE, LABELS, SELECTOR, connector, task

from doorward import catalogue
from doorward.api.v1alpha1 import AgentRole, Connector
from doorward.core.action import ActionType, arguments_of
from doorward.core.decision import Permit
from doorward.core.effect import Effect
from doorward.errors import Code
from doorward.policy import ActionRequest, Context, Facts, Vocabulary, decide, lint_role, visible_actions
from doorward.policy.evaluate import Question
from doorward.policy.facts import Reading

ROLES = Path(__file__).parents[3] / "examples" / "roles"
TEXT = {"type": "string", "maxLength": 100}
NUMBER = {"type": "integer", "minimum": 1}


def verb(name: str, effect: Effect, resource: dict[str, str], *more: str) -> ActionType:
    """An action of the test's vocabulary; it holds all attributes of its resource, and `more`."""
    bare = ActionType(name, effect, "For tests.", {}, resource)
    names = sorted(arguments_of(bare))
    arguments = {
        "type": "object",
        "additionalProperties": False,
        "required": names,
        "properties": {name: NUMBER if name == "number" else TEXT for name in names},
    }
    made = "pull" if name == "change.propose" else None
    return replace(bare, arguments=arguments, enforces=frozenset({*resource, *more}), makes=made)


REPOSITORY = {"repository": "{owner}/{repo}"}
VOCABULARY = {
    action.name: action
    for action in (
        verb("report.read", Effect.READ, {"dataset": "dataset"}),
        verb("report.query", Effect.READ, {"dataset": "dataset"}),
        verb("report.delete", Effect.DESTROY, {"dataset": "dataset"}),
        verb("file.read", Effect.READ, {**REPOSITORY, "path": "path"}),
        verb("issue.read", Effect.READ, {**REPOSITORY, "issue": "number"}),
        verb("branch.create", Effect.DRAFT, {**REPOSITORY, "branch": "branch"}),
        verb("change.write", Effect.DRAFT, {**REPOSITORY, "branch": "branch", "path": "path"}),
        verb("change.propose", Effect.DRAFT, {**REPOSITORY, "branch": "branch"}, "diffLines", "files"),
        verb("pull.merge", Effect.MERGE, {**REPOSITORY, "pull": "number", "head": "head"}),
        verb("tag.create", Effect.DEPLOY, {**REPOSITORY, "commit": "commit", "environment": "environment"}),
    )
}


def role(name: str) -> AgentRole:
    """A role as its file has it."""
    document = yaml.safe_load((ROLES / f"{name}.yaml").read_text())
    return AgentRole.parse({**document, "metadata": {**document["metadata"], "uid": f"uid-{name}"}})


def hands(name: str) -> Connector:
    """A Connector that allows the namespace everything: what is refused, the role refuses."""
    plain = connector({"namespaces": SELECTOR, "effects": [effect.value for effect in Effect]})
    document = plain.model_dump(mode="json", by_alias=True, exclude_none=True)
    document["metadata"] = {"name": name, "uid": f"uid-{name}"}
    return Connector.parse({**document, "apiVersion": API, "kind": "Connector"})


def known(name: str, connector_name: str, **facts: Any) -> Context:
    """What is known when a task of the role asks. `facts`: reviews of pull 7, checks of commit abc."""
    readings: dict[Question, Reading] = {}
    if "reviews" in facts:
        readings[Question("facts.reviews", 7)] = Reading(facts["reviews"])
    if "checks" in facts:
        readings[Question("facts.checks", "abc")] = Reading(facts["checks"])
    found = role(name)
    return Context(
        task=task(role=name),
        pinned_role=found,
        current_role=found,
        connector=hands(connector_name),
        actions=VOCABULARY,
        catalogue_hash=FORGE.hash,
        namespace_labels=LABELS,
        now=1_800_000_000.0,
        facts=Facts(upstream=readings),
    )


def approvals(number: int) -> list[dict[str, Any]]:
    """So many people have approved; one more has only commented."""
    said = [{"user": f"person-{who}", "approved": True, "state": "APPROVED"} for who in range(number)]
    return [*said, {"user": "other", "approved": False, "state": "COMMENTED"}]


def checks(**green: bool) -> list[dict[str, Any]]:
    """Checks by name."""
    return [
        {"name": name.replace("_", "-"), "green": good, "state": "success" if good else "failure"}
        for name, good in green.items()
    ]


@dataclass(frozen=True)
class Row:
    """One clause of a text, and what it comes to."""

    clause: str
    role: str
    action: str
    args: dict[str, Any]
    code: Code | None
    """None for a permit."""
    facts: dict[str, Any] = field(default_factory=dict)


WEB = {"owner": "acme", "repo": "web"}
PULL = {**WEB, "number": 7, "head": "abc"}
TAG = {**WEB, "commit": "abc", "environment": "staging"}
SEAT = {"owner": "acme", "repo": "web", "branch": "agent/fix-7"}
MERGING = {"reviews": approvals(2), "checks": checks(unit=True, plain_paths=True)}
SIGNED = {"checks": checks(signed_commit=True, provenance=True)}


def change(path: str, branch: str = "agent/fix-7") -> dict[str, Any]:
    """A change of one file."""
    return {**WEB, "branch": branch, "path": path}


TABLE = [
    Row("actions: [read]", "crash-tracker", "report.read", {"dataset": "crash-reports"}, None),
    Row("data: stack-traces", "crash-tracker", "report.read", {"dataset": "stack-traces"}, None),
    Row("data: and no other", "crash-tracker", "report.read", {"dataset": "customers"}, Code.NO_RULE),
    Row("only read", "crash-tracker", "report.delete", {"dataset": "crash-reports"}, Code.NO_RULE),
    Row("services: and no other", "crash-tracker", "file.read", {**WEB, "path": "a"}, Code.UNKNOWN_ACTION),
    Row("actions: read", "pr-creator", "file.read", {**WEB, "path": "src/a.py"}, None),
    Row("actions: create-branch", "pr-creator", "branch.create", SEAT, None),
    Row(
        "a branch of its own",
        "pr-creator",
        "branch.create",
        {**SEAT, "branch": "main"},
        Code.NO_RULE,
    ),
    Row("actions: create-pr", "pr-creator", "change.propose", SEAT, None),
    Row("and no merge", "pr-creator", "pull.merge", PULL, Code.NO_RULE, MERGING),
    Row("a change outside", "pr-creator", "change.write", change("src/a.py"), None),
    Row("forbidden auth/*", "pr-creator", "change.write", change("auth/login.py"), Code.NO_RULE),
    Row("forbidden auth/* below", "pr-creator", "change.write", change("auth/a/b.py"), Code.NO_RULE),
    Row("forbidden .ci/*", "pr-creator", "change.write", change(".ci/build.yaml"), Code.NO_RULE),
    Row("forbidden security/*", "pr-creator", "change.write", change("security/keys"), Code.NO_RULE),
    Row("in another spelling", "pr-creator", "change.write", change("Security/keys"), Code.NO_RULE),
    Row("not on main", "pr-creator", "change.write", change("src/a.py", "main"), Code.NO_RULE),
    Row("reviews and checks", "merger", "pull.merge", PULL, None, MERGING),
    Row(
        "approvedReviews < 2",
        "merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "reviews": approvals(1)},
    ),
    Row(
        "no reviews at all",
        "merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "reviews": []},
    ),
    Row(
        "!checksPassed",
        "merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "checks": checks(unit=False, plain_paths=True)},
    ),
    Row(
        "no checks at all",
        "merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "checks": []},
    ),
    Row(
        "pathRisk sensitive, not trusted",
        "merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "checks": checks(unit=True, plain_paths=False)},
    ),
    Row(
        "pathRisk unknown, not trusted",
        "merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "checks": checks(unit=True)},
    ),
    Row(
        "trusted-bot, sensitive",
        "trusted-bot-merger",
        "pull.merge",
        PULL,
        None,
        {**MERGING, "checks": checks(unit=True)},
    ),
    Row(
        "trusted-bot needs two reviews as well",
        "trusted-bot-merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "reviews": approvals(1)},
    ),
    Row(
        "trusted-bot needs checks as well",
        "trusted-bot-merger",
        "pull.merge",
        PULL,
        Code.CONDITION_FALSE,
        {**MERGING, "checks": []},
    ),
    Row("signed, with provenance", "release-tagger", "tag.create", TAG, None, SIGNED),
    Row(
        "!signedCommit",
        "release-tagger",
        "tag.create",
        TAG,
        Code.CONDITION_FALSE,
        {"checks": checks(signed_commit=False, provenance=True)},
    ),
    Row(
        "!artifactProvenance",
        "release-tagger",
        "tag.create",
        TAG,
        Code.CONDITION_FALSE,
        {"checks": checks(signed_commit=True)},
    ),
    Row(
        "targetEnv production",
        "release-tagger",
        "tag.create",
        {**TAG, "environment": "production"},
        Code.NO_RULE,
        SIGNED,
    ),
    Row(
        "production by another name",
        "release-tagger",
        "tag.create",
        {**TAG, "environment": "eu-prod"},
        Code.NO_RULE,
        SIGNED,
    ),
]
SERVICE = {"crash-tracker": "crash-reporting"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.role}: {row.clause}")
def test_each_clause(row: Row) -> None:
    """What the text lets through is permitted, and every other thing is refused for the text's reason."""
    service = SERVICE.get(row.role, "code-repository")
    wanted = "code-repository" if row.code is Code.UNKNOWN_ACTION else service
    found = decide(ActionRequest(wanted, row.action, row.args), known(row.role, service, **row.facts))

    assert (None if isinstance(found, Permit) else found.code) == row.code


def permitted(name: str, action: str, args: dict[str, Any]) -> Permit:
    """The permit of a role for an action."""
    service = SERVICE.get(name, "code-repository")
    found = decide(ActionRequest(service, action, args), known(name, service))
    assert isinstance(found, Permit)
    return found


def test_thirty_requests_a_minute() -> None:
    """max_requests_per_min: 30, over all tasks of the role together."""
    found = permitted("crash-tracker", "report.read", {"dataset": "crash-reports"})

    assert [(item.key, item.limit, item.window_seconds) for item in found.reservations] == [
        ("role:agents/crash-tracker/minute", 30, 60)
    ]


def test_small_pull_requests() -> None:
    """max_diff_lines: 500, max_files_changed: 10: the connector measures them right before the call."""
    found = permitted("pr-creator", "change.propose", SEAT)

    assert found.caveats == {"diffLines": 500, "files": 10}
    assert {(item.key, item.limit) for item in found.reservations} == {
        ("task:task-1/rule:propose", 1),
        ("role:agents/pr-creator/open:pull", 20),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crash-tracker", {"report.query", "report.read"}),
        ("pr-creator", {"file.read", "issue.read", "branch.create", "change.write", "change.propose"}),
        ("merger", {"pull.merge"}),
        ("trusted-bot-merger", {"pull.merge"}),
        ("release-tagger", {"tag.create"}),
    ],
)
def test_walls_with_no_doors(name: str, expected: set[str]) -> None:
    """Only the endpoints that the role allows are exposed; the rest does not exist for its agents."""
    service = SERVICE.get(name, "code-repository")

    assert expected == {row.action for row in visible_actions(known(name, service))}


@pytest.mark.parametrize("path", sorted(ROLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_role_can_be_held_once_its_actions_exist(path: Path) -> None:
    """With the vocabulary nothing is wrong; with the real one the operator names what is missing."""
    services = {rule.connector for rule in role(path.stem).spec.rules}
    real = catalogue.load("forge").actions
    with_all = {name: Vocabulary(hands(name), VOCABULARY) for name in services}
    today = lint_role(role(path.stem), {name: Vocabulary(hands(name), real) for name in services})

    assert lint_role(role(path.stem), with_all) == ()
    assert any("has no action" in str(problem) for problem in today)
    assert "Not for this release" in path.read_text()
