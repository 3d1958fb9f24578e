"""What is permitted, what is not, and what the no says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from policyworld import COMMENT, LABELS, SELECTOR, TENANT, ask, comment, context, done, role

from doorward.core import glob
from doorward.core.action import Attachment
from doorward.core.decision import Denial, Holder, Permit, Reservation
from doorward.core.effect import Effect
from doorward.errors import Code, SealBroken
from doorward.policy import ActionRequest, Context, Facts, chain, decide, explain

PEOPLE = {"quorum": 1, "expires": "30m"}
READ = {"name": "read", "connector": "code", "actions": ["issue.read", "file.read"]}
ALL = {"namespaces": SELECTOR, "effects": [effect.value for effect in Effect]}
STAGES = [
    {"name": "plan", "rules": ["read"]},
    {"name": "act", "rules": ["comment"], "when": "outcomes.exists(o, o.rule == 'read')"},
]


def rule(action: str, **changes: Any) -> dict[str, Any]:
    """A rule `any` for one action."""
    return {"name": "any", "connector": "code", "actions": [action], **changes}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    says: str
    request: ActionRequest
    context: Context
    code: Code | None
    """None for a permit."""


def deploying(environment: str, **changes: Any) -> tuple[ActionRequest, Context]:
    """A deployment under a rule with these changes."""
    request = ask("release.deploy", environment=environment)
    return request, context(rule("release.deploy", **changes), tenants=(ALL,))


ELSEWHERE = {"name": "say", "connector": "chat", "actions": ["*"]}
GUARD = {"when": "outcomesOf('reviewer').exists(o, o.status == 'succeeded')"}
TABLE = [
    Row("a rule, a ceiling and nothing against it", comment(), context(), None),
    Row("the task has ended", comment(), context(ended=True), Code.TASK_ENDED),
    Row("the task is frozen", comment(), context(frozen=True), Code.TASK_FROZEN),
    Row("something is revoked", comment(), context(revoked=True), Code.REVOKED),
    Row("no such Connector", comment(), context(connector=None), Code.UNKNOWN_ACTION),
    Row("another Connector", replace(comment(), connector="chat"), context(), Code.UNKNOWN_ACTION),
    Row("no such action", ask("issue.delete"), context(rule("*")), Code.UNKNOWN_ACTION),
    Row("no resource named", ActionRequest("code", "issue.comment", {}), context(), Code.ARGUMENTS_INVALID),
    Row("a name that no glob should see", comment(owner="a" * 101), context(), Code.ARGUMENTS_INVALID),
    Row("other people's Connector", comment(), context(ELSEWHERE, tenants=()), Code.UNKNOWN_ACTION),
    Row("a ceiling and no rule", comment(), context(ELSEWHERE), Code.NO_RULE),
    Row("another catalogue", comment(), context(catalogue_hash="sha256:other"), Code.UNAVAILABLE),
    Row("a namespace nobody named", comment(), context(namespace_labels={}), Code.ABOVE_CEILING),
    Row("no tenants", comment(), context(tenants=()), Code.ABOVE_CEILING),
    Row(
        "an effect above the ceiling",
        comment(),
        context(tenants=({**TENANT, "effects": ["read"]},)),
        Code.ABOVE_CEILING,
    ),
    Row(
        "a repository above the ceiling",
        comment(owner="other"),
        context(rule("issue.comment")),
        Code.ABOVE_CEILING,
    ),
    Row(
        "an attribute of the ceiling that the action lacks",
        comment(),
        context(tenants=({**TENANT, "resources": {"environment": ["*"]}},)),
        Code.ABOVE_CEILING,
    ),
    Row(
        "one entry of several is enough",
        comment(),
        context(tenants=({**TENANT, "effects": ["read"]}, TENANT)),
        None,
    ),
    Row(
        "two entries do not add up",
        comment(),
        context(
            tenants=({**TENANT, "effects": ["read"]}, {**TENANT, "resources": {"repository": ["other/*"]}})
        ),
        Code.ABOVE_CEILING,
    ),
    Row(
        "what one entry forbids, another cannot allow",
        comment(),
        context(tenants=({**TENANT, "forbid": {"repositories": ["ACME/Web"]}}, TENANT)),
        Code.ABOVE_CEILING,
    ),
    Row("no rules", comment(), context(role_spec={"rules": []}), Code.NO_RULE),
    Row("no rule for this action", comment(), context(READ), Code.NO_RULE),
    Row("a rule for another Connector", comment(), context({**COMMENT, "connector": "chat"}), Code.NO_RULE),
    Row("`*` reaches a draft", comment(), context(rule("*")), None),
    Row(
        "`*` does not reach a merge",
        ask("pull.merge", environment="x"),
        context(rule("*", approval=PEOPLE), tenants=(ALL,)),
        Code.NO_RULE,
    ),
    Row(
        "`*` does not reach what shared CI would run",
        ask("change.propose", environment="x"),
        context(rule("*"), tenants=(ALL,), connector_spec={"ci": "shared"}),
        Code.NO_RULE,
    ),
    Row(
        "`*` reaches it where CI is isolated",
        ask("change.propose", environment="x"),
        context(rule("*"), tenants=(ALL,)),
        None,
    ),
    Row(
        "a rule for another repository",
        comment(),
        context(rule("issue.comment", resources={"repository": ["acme/api"]})),
        Code.NO_RULE,
    ),
    Row(
        "a number as an attribute",
        comment(),
        context(rule("issue.comment", resources={"issue": ["7"]})),
        None,
    ),
    Row(
        "another number",
        comment(number=77),
        context(rule("issue.comment", resources={"issue": ["7"]})),
        Code.NO_RULE,
    ),
    Row(
        "an attribute that the action cannot hold",
        comment(),
        context(rule("issue.comment", resources={"path": ["**"]})),
        Code.NO_RULE,
    ),
    Row("the role is gone", comment(), context(current_role=None), Code.NO_RULE),
    Row("the role was narrowed", comment(), context(current_role=role(READ)), Code.NO_RULE),
    Row("the role was widened later", comment(), context(pinned_role=role(READ)), Code.NO_RULE),
    Row(
        "a forbidden repository beats a rule",
        comment(),
        context(role_spec={"forbid": {"repositories": ["*/web"]}}),
        Code.NO_RULE,
    ),
    Row(
        "a forbidden path in another spelling",
        ask("file.read", path=".GitHub/workflows/x"),
        context(READ, role_spec={"forbid": {"paths": [".github/**"]}}),
        Code.NO_RULE,
    ),
    Row(
        "what the role forbids now beats what was pinned",
        comment(),
        context(current_role=role(COMMENT, forbid={"repositories": ["acme/web"]})),
        Code.NO_RULE,
    ),
    Row(
        "what the pinned role forbids stays forbidden",
        comment(),
        context(pinned_role=role(COMMENT, forbid={"repositories": ["acme/web"]})),
        Code.NO_RULE,
    ),
    Row("inside the scope", comment(), context(task_spec={"scope": {"repositories": ["acme/web"]}}), None),
    Row(
        "a repository out of scope",
        comment(),
        context(task_spec={"scope": {"repositories": ["acme/api"]}}),
        Code.OUT_OF_SCOPE,
    ),
    Row(
        "a path out of scope",
        ask("file.read", path="docs/x"),
        context(READ, task_spec={"scope": {"paths": ["src/**"]}}),
        Code.OUT_OF_SCOPE,
    ),
    Row(
        "a scope cannot widen",
        comment(owner="other"),
        context(task_spec={"scope": {"repositories": ["**"]}}),
        Code.ABOVE_CEILING,
    ),
    Row("too early", comment(), context(COMMENT, READ, task_spec={"stages": STAGES}), Code.WRONG_STAGE),
    Row(
        "the stage has opened",
        comment(),
        context(COMMENT, READ, task_spec={"stages": STAGES}, facts=Facts(outcomes=(done("read"),))),
        None,
    ),
    Row(
        "the stage before has closed",
        ask("issue.read", number=7),
        context(COMMENT, READ, task_spec={"stages": STAGES}, facts=Facts(outcomes=(done("read"),))),
        Code.WRONG_STAGE,
    ),
    Row("an argument missing", ask("issue.comment", number=7), context(), Code.ARGUMENTS_INVALID),
    Row("an argument too long", comment(body="a" * 65_537), context(), Code.ARGUMENTS_INVALID),
    Row("an argument unknown", comment(assignee="bob"), context(), Code.ARGUMENTS_INVALID),
    Row("an argument of another type", comment(body=7), context(), Code.ARGUMENTS_INVALID),
    Row(
        "two ways to name one repository",
        comment(owner="acme/web", repo="x"),
        context(rule("issue.comment"), tenants=(ALL,)),
        Code.ARGUMENTS_INVALID,
    ),
    Row(
        "an attachment that the action does not take",
        replace(comment(), attachments=(Attachment("pack", "0" * 64, 1),)),
        context(),
        Code.ARGUMENTS_INVALID,
    ),
    Row(
        "an argument beyond the rule",
        comment(),
        context({**COMMENT, "arguments": {"properties": {"body": {"maxLength": 3}}}}),
        Code.ARGUMENTS_INVALID,
    ),
    Row(
        "an argument within the rule",
        comment(),
        context({**COMMENT, "arguments": {"properties": {"body": {"pattern": "^S"}}}}),
        None,
    ),
    Row(
        "a rule's schema that cannot be used",
        comment(),
        context({**COMMENT, "arguments": {"$ref": "https://other.example/schema"}}),
        Code.ARGUMENTS_INVALID,
    ),
    Row(
        "a size that the action cannot measure",
        comment(),
        context({**COMMENT, "limits": {"diffLines": 10}}),
        Code.LIMIT_EXCEEDED,
    ),
    Row("a true condition", comment(), context({**COMMENT, "when": "resource.issue == 7"}), None),
    Row(
        "a false condition",
        comment(),
        context({**COMMENT, "when": "resource.issue == 8"}),
        Code.CONDITION_FALSE,
    ),
    Row(
        "a condition that fails",
        comment(),
        context({**COMMENT, "when": "args.nothing"}),
        Code.CONDITION_FALSE,
    ),
    Row("a negated failure", comment(), context({**COMMENT, "when": "!args.nothing"}), Code.CONDITION_FALSE),
    Row(
        "a condition that is no boolean",
        comment(),
        context({**COMMENT, "when": "args.body"}),
        Code.CONDITION_FALSE,
    ),
    Row(
        "a condition with unknown names",
        comment(),
        context({**COMMENT, "when": "nobody"}),
        Code.CONDITION_FALSE,
    ),
    Row(
        "a condition that never ends",
        comment(body="x"),
        context(
            {**COMMENT, "when": "outcomes.all(a, outcomes.all(b, outcomes.all(c, true)))"},
            facts=Facts(outcomes=tuple(done("read") for _ in range(300))),
        ),
        Code.CONDITION_FALSE,
    ),
    Row("people must agree", comment(), context({**COMMENT, "approval": PEOPLE}), Code.APPROVAL_REQUIRED),
    Row(
        "a second rule without people",
        comment(),
        context({**COMMENT, "approval": PEOPLE}, rule("issue.comment")),
        None,
    ),
    Row(
        "the ceiling demands people",
        comment(),
        context(tenants=({**TENANT, "approval": PEOPLE},)),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "an entry demands people though another demands none",
        comment(),
        context(tenants=({**TENANT, "approval": PEOPLE}, TENANT)),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "an entry for another repository demands people",
        comment(),
        context(tenants=({**TENANT, "resources": {"repository": ["acme/api"]}, "approval": PEOPLE}, TENANT)),
        None,
    ),
    Row(
        "a merge without a guard",
        ask("pull.merge", environment="x"),
        context(rule("pull.merge"), tenants=(ALL,)),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "a merge guarded by what the agent makes",
        ask("pull.merge", environment="x"),
        context(rule("pull.merge", when="args.environment == 'x'"), tenants=(ALL,)),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "a merge guarded by what others make",
        ask("pull.merge", environment="x"),
        context(rule("pull.merge", **GUARD), tenants=(ALL,)),
        None,
    ),
    Row("a guarded deployment", *deploying("staging", **GUARD), None),
    Row("a deployment without a guard", *deploying("staging"), Code.APPROVAL_REQUIRED),
    Row("a guarded deployment to production", *deploying("production", **GUARD), Code.APPROVAL_REQUIRED),
    Row("production by another name", *deploying("eu/PROD-1", **GUARD), Code.APPROVAL_REQUIRED),
    Row(
        "what shared CI runs is a deployment",
        ask("change.propose", environment="x"),
        context(rule("change.propose", **GUARD), tenants=(ALL,), connector_spec={"ci": "shared"}),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "a rollback, whatever guards it",
        ask("release.rollback", environment="staging"),
        context(rule("release.rollback", **GUARD), tenants=(ALL,)),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "a destruction, whatever guards it",
        ask("repository.delete", environment="x"),
        context(rule("repository.delete", **GUARD), tenants=(ALL,)),
        Code.APPROVAL_REQUIRED,
    ),
    Row(
        "a condition about people whom no rule asks",
        comment(),
        context({**COMMENT, "when": "approvals.size() > 0"}),
        Code.CONDITION_FALSE,
    ),
    Row(
        "limits that the ledger counts",
        comment(),
        context(
            {**COMMENT, "limits": {"perTask": 3, "perMinute": 2}}, role_spec={"ceilings": {"perMinute": 9}}
        ),
        None,
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_the_table(row: Row) -> None:
    """Each line is decided as it says."""
    found = decide(row.request, row.context)

    assert row.code == (found.code if isinstance(found, Denial) else None)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_a_no_helps(row: Row) -> None:
    """Every no says in words what is wrong, and what would be right or whom to ask."""
    found = decide(row.request, row.context)

    assert isinstance(found, Permit) or (found.detail and (found.allowed or found.ask))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_explaining_is_deciding(row: Row) -> None:
    """The explanation walks the same chain: it ends where the decision ended."""
    found = decide(row.request, row.context)
    steps = explain(row.request, row.context)
    denials = [step.denial for step in steps if step.denial]

    assert denials == ([found] if isinstance(found, Denial) else [])
    assert [step.reached for step in steps] == sorted((step.reached for step in steps), reverse=True)
    assert all(step.question.endswith(".") for step in steps)


@pytest.mark.parametrize("left_out", [*chain.GATES, *chain.CHAIN], ids=lambda check: check.__name__)
def test_each_check_is_needed(left_out: Any) -> None:
    """Without any one of the checks some line of the table is decided differently."""
    gates = [gate for gate in chain.GATES if gate is not left_out]
    checks = [check for check in chain.CHAIN if check is not left_out]
    flipped = [
        row
        for row in TABLE
        if chain._run(gates, checks, row.request, row.context) != decide(row.request, row.context)
    ]

    assert flipped != []


def test_what_a_permit_says() -> None:
    """A permit carries the action, for whom, under which rule, and the room it needs."""
    limited = {**COMMENT, "limits": {"perTask": 3, "perMinute": 2}}
    found = decide(
        comment(),
        context(
            limited,
            role_spec={"ceilings": {"perMinute": 9}},
            task_spec={"budgets": {"actions": {"draft": 5}}},
        ),
    )

    assert isinstance(found, Permit)
    assert (found.rule, found.effect, found.audience) == ("comment", Effect.DRAFT, "connector:code")
    assert dict(found.action.resource) == {"repository": "acme/web", "issue": 7}
    assert (found.principal.task_uid, found.principal.requested_by) == ("task-1", "alice")
    rule_: dict[str, Any] = {"holder": Holder.RULE, "name": "comment"}
    role_: dict[str, Any] = {"holder": Holder.ROLE, "name": "fixer"}
    assert found.reservations == (
        Reservation("task:task-1/rule:comment", 3, **rule_),
        Reservation("task:task-1/rule:comment/minute", 2, window_seconds=60, **rule_),
        Reservation("role:agents/fixer/minute", 9, window_seconds=60, **role_),
        Reservation("task:task-1/effect:draft", 5, effect=Effect.DRAFT),
    )


def test_the_stricter_limit_of_two_readings() -> None:
    """Where the pinned and the current role differ, the smaller limit counts."""
    tight, loose = role({**COMMENT, "limits": {"perTask": 1}}), role({**COMMENT, "limits": {"perTask": 9}})
    expected = (Reservation("task:task-1/rule:comment", 1, holder=Holder.RULE, name="comment"),)
    found = [
        decide(comment(), context(pinned_role=pinned, current_role=current))
        for pinned, current in ((tight, loose), (loose, tight))
    ]

    assert [item.reservations for item in found if isinstance(item, Permit)] == [expected, expected]


def test_sizes_travel_as_caveats() -> None:
    """What only the connector can measure goes with the capability, the stricter of two readings."""
    request = ask("change.propose", environment="x")
    tight = role(rule("change.propose", limits={"diffLines": 10}))
    loose = role(rule("change.propose", limits={"diffLines": 99, "files": 3}))
    found = decide(request, context(pinned_role=loose, current_role=tight, tenants=(ALL,)))

    assert isinstance(found, Permit)
    assert found.caveats == {"diffLines": 10, "files": 3}


@pytest.mark.parametrize(
    "other",
    [
        context({**COMMENT, "when": "true"}),
        context(tenants=(ALL,)),
        context(task_spec={"deadline": "2h"}),
        context(namespace_labels={**LABELS, "other": "1"}),
        context(current_role=role(COMMENT, READ)),
        context(pinned_role=role(COMMENT, READ)),
    ],
)
def test_the_policy_hash_covers_what_was_evaluated(other: Context) -> None:
    """Another role, task, ceiling or label is another policy, even when the answer is the same."""
    before, after = decide(comment(), context()), decide(comment(), other)

    assert isinstance(before, Permit)
    assert isinstance(after, Permit)
    assert before.policy_hash != after.policy_hash


def test_a_permit_cannot_be_built_elsewhere() -> None:
    """Copying a permit with another action breaks the seal unless the policy's own seal is kept."""
    found = decide(comment(), context())

    assert isinstance(found, Permit)
    with pytest.raises(SealBroken):
        replace(found, seal=object())


def test_parts_of_two_worlds() -> None:
    """A context whose role is not the task's is a fault of the caller, never a decision."""
    stranger = role(COMMENT)
    other = stranger.model_copy(
        update={"metadata": stranger.metadata.model_copy(update={"namespace": "other"})}
    )

    with pytest.raises(ValueError, match="belongs to role"):
        context(current_role=other)


def test_the_no_about_other_peoples_connector_is_that_of_none() -> None:
    """An agent that tries names learns nothing: a Connector not meant for it reads as one that is not."""
    there = decide(comment(), context(ELSEWHERE, tenants=()))
    absent = decide(comment(), context(ELSEWHERE, connector=None))

    assert there == absent


@pytest.mark.parametrize("action", ["issue.comment", "file.read"])
def test_an_endless_name_is_refused_before_any_glob_walks_it(
    action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Globs cost time for each character, of everybody: they see what fits the argument's schema only."""
    walked: list[int] = []
    matches = glob.matches
    monkeypatch.setattr(glob, "matches", lambda one, two: walked.append(len(two)) or matches(one, two))
    name = "path" if action == "file.read" else "repo"
    request = ask(action, **{"number": 7, "body": "x", name: "a" * 100_000})
    forbid = {"paths": ["**/x"], "repositories": ["z/**"]}
    verdict = decide(request, context(rule(action), role_spec={"forbid": forbid}))

    assert isinstance(verdict, Denial)
    assert (verdict.code, walked) == (Code.ARGUMENTS_INVALID, [])
