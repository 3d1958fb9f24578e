"""Where people must agree, nothing but their agreement to exactly this action lets it happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policyworld import COMMENT, TENANT, comment, context, role

from doorward.core import digest
from doorward.core.action import Action
from doorward.core.decision import Demand, Denial, Permit
from doorward.errors import Code
from doorward.policy import ActionRequest, Approver, Context, GrantFact, decide, explain

PEOPLE = {"quorum": 2, "expires": "10m"}
ASKED = context({**COMMENT, "approval": PEOPLE})
TWO = (Approver("bob", 1.0), Approver("carol", 2.0))


def digest_of(request: ActionRequest) -> str:
    """The digest that the broker would compute."""
    resource = {
        "repository": f"{request.args['owner']}/{request.args['repo']}",
        "issue": request.args["number"],
    }
    return digest.of(Action(request.connector, request.action, resource, request.args))


def grant(found: Context = ASKED, **changes: Any) -> GrantFact:
    """A Grant that two people agreed to, for the comment of `policyworld`."""
    plain = GrantFact(
        uid="grant-1",
        rule="comment",
        connector="code",
        action="issue.comment",
        digest=digest_of(comment()),
        policy_hash=found.policy_hash,
        state="active",
        quorum=2,
        uses=0,
        max_uses=1,
        expires_at=found.now + 60,
        approved=TWO,
    )
    return replace(plain, **changes)


def code_of(verdict: Permit | Denial) -> Code | None:
    """The code of a no."""
    return verdict.code if isinstance(verdict, Denial) else None


class Row(NamedTuple):
    """One Grant and what it comes to."""

    name: str
    changes: dict[str, Any]
    code: Code | None


ROWS = [
    Row("agreed", {}, None),
    Row("nobody answered", {"state": "pending", "approved": ()}, Code.APPROVAL_PENDING),
    Row("one of two answered", {"approved": TWO[:1]}, Code.APPROVAL_PENDING),
    Row("one person twice", {"approved": (TWO[0], TWO[0])}, Code.APPROVAL_PENDING),
    Row("not yet counted", {"state": "pending"}, Code.APPROVAL_PENDING),
    Row("its own quorum is larger", {"quorum": 3}, Code.APPROVAL_PENDING),
    Row("denied", {"state": "denied"}, Code.APPROVAL_DENIED),
    Row("expired", {"state": "expired"}, Code.GRANT_EXPIRED),
    Row("its time has come", {"expires_at": ASKED.now}, Code.GRANT_EXPIRED),
    Row(
        "nobody answered in time",
        {"state": "pending", "approved": (), "expires_at": ASKED.now},
        Code.GRANT_EXPIRED,
    ),
    Row("stale", {"state": "stale"}, Code.GRANT_STALE),
    Row("another policy", {"policy_hash": "sha256:other"}, Code.GRANT_STALE),
    Row(
        "another policy while it waits",
        {"policy_hash": "sha256:other", "state": "pending"},
        Code.GRANT_STALE,
    ),
    Row("revoked", {"state": "revoked"}, Code.REVOKED),
    Row("exhausted", {"state": "exhausted", "uses": 1}, Code.LIMIT_EXCEEDED),
    Row("every use taken", {"uses": 1}, Code.LIMIT_EXCEEDED),
    Row("other arguments", {"digest": "sha256:other"}, Code.APPROVAL_REQUIRED),
    Row("under another rule", {"rule": "other"}, Code.APPROVAL_REQUIRED),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_table(row: Row) -> None:
    """Each state of a Grant has one answer, and only one state is a yes."""
    verdict = decide(comment(), replace(ASKED, grants=(grant(**row.changes),)))

    assert code_of(verdict) == row.code


def test_a_permit_names_its_grant_and_who_agreed() -> None:
    """The use of the Grant is reserved with everything else, and the permit says who stands behind it."""
    verdict = decide(comment(), replace(ASKED, grants=(grant(max_uses=3),)))

    assert isinstance(verdict, Permit)
    assert (verdict.grant, verdict.approvers) == ("grant-1", ("bob", "carol"))
    assert [(item.key, item.limit) for item in verdict.reservations] == [("grant:grant-1", 3)]


def test_where_nobody_must_agree_no_grant_is_used() -> None:
    """An action that its role permits alone takes no use of a Grant."""
    found = context()
    verdict = decide(comment(), replace(found, grants=(grant(found),)))

    assert isinstance(verdict, Permit)
    assert (verdict.grant, verdict.reservations) == (None, ())


def test_one_that_may_come_to_something_counts_before_one_that_is_over() -> None:
    """A Grant that was denied long ago does not stand in the way of a new one for the same action."""
    over = grant(uid="old", state="expired")
    verdict = decide(comment(), replace(ASKED, grants=(over, grant())))

    assert isinstance(verdict, Permit)
    assert verdict.grant == "grant-1"


def test_of_pinned_and_current_the_stricter_terms_hold() -> None:
    """More people and less time: whichever of the two roles says so, and whichever tenant entry."""
    pinned = role({**COMMENT, "approval": {"quorum": 1, "expires": "5m"}})
    current = role({**COMMENT, "approval": {"quorum": 3, "expires": "30m"}})
    plain = context(tenants=({**TENANT, "approval": {"quorum": 2, "expires": "20m"}},))
    verdicts = [
        decide(comment(), replace(plain, pinned_role=one, current_role=other))
        for one, other in ((pinned, current), (current, pinned))
    ]

    assert [verdict.demand for verdict in verdicts if isinstance(verdict, Denial)] == [
        Demand("comment", 3, 300)
    ] * 2


def test_a_rule_that_becomes_demanding_demands_at_once() -> None:
    """Narrowing acts on tasks that run: the role at its pinning permitted the action alone."""
    strict = role({**COMMENT, "approval": PEOPLE})
    verdict = decide(comment(), context(current_role=strict))

    assert code_of(verdict) == Code.APPROVAL_REQUIRED


def test_a_rule_that_stops_demanding_still_demands_of_tasks_that_run() -> None:
    """Widening acts on new tasks only."""
    strict = role({**COMMENT, "approval": PEOPLE})
    verdict = decide(comment(), context(pinned_role=strict))

    assert code_of(verdict) == Code.APPROVAL_REQUIRED


def test_a_cautious_task_acts_with_people_only() -> None:
    """What leaves a trace needs one person where the rule names none; reading goes on."""
    both = {**COMMENT, "actions": ["issue.comment", "issue.read"]}
    found = context(both, cautious=True)
    reading = ActionRequest("code", "issue.read", {"owner": "acme", "repo": "web", "number": 7})
    verdict = decide(comment(), found)

    assert isinstance(decide(reading, found), Permit)
    assert isinstance(verdict, Denial)
    assert verdict.demand == Demand("comment", 1, 1800)


def test_explain_shows_who_is_missing() -> None:
    """The step is there under its name, with the no that the agent gets."""
    found = replace(ASKED, grants=(grant(state="pending", approved=TWO[:1]),))
    step = next(step for step in explain(comment(), found) if step.check == "people_agree")

    assert step.denial is not None
    assert step.denial.detail == "1 of 2 people have approved"


FACTS = st.builds(
    grant,
    st.just(ASKED),
    digest=st.sampled_from([digest_of(comment()), digest_of(comment(body="Other."))]),
    policy_hash=st.sampled_from([ASKED.policy_hash, "sha256:other"]),
    rule=st.sampled_from(["comment", "other"]),
    state=st.sampled_from(["pending", "active", "exhausted", "expired", "denied", "revoked", "stale"]),
    quorum=st.integers(1, 3),
    uses=st.integers(0, 2),
    max_uses=st.integers(1, 2),
    expires_at=st.sampled_from([ASKED.now - 1, ASKED.now, ASKED.now + 1]),
    approved=st.lists(st.sampled_from("abcd"), max_size=4).map(
        lambda names: tuple(Approver(name, 0.0) for name in names)
    ),
)


def may_pass(fact: GrantFact, request: ActionRequest) -> bool:
    """The same, said a second time and in one piece."""
    return (
        fact.state == "active"
        and fact.rule == "comment"
        and fact.digest == digest_of(request)
        and fact.policy_hash == ASKED.policy_hash
        and ASKED.now < fact.expires_at
        and len({item.user for item in fact.approved}) >= max(2, fact.quorum)
        and fact.uses < fact.max_uses
    )


@given(st.lists(FACTS, max_size=3))
def test_no_permit_without_enough_people(facts: list[GrantFact]) -> None:
    """Whatever Grants there are, a permit rests on one to which a quorum of different people agreed."""
    verdict = decide(comment(), replace(ASKED, grants=tuple(facts)))

    passing = [set(fact.approvers) for fact in facts if may_pass(fact, comment())]
    assert isinstance(verdict, Permit) == bool(passing)
    assert not isinstance(verdict, Permit) or set(verdict.approvers) in passing


@given(st.lists(FACTS, max_size=3), st.text(min_size=1, max_size=5))
def test_other_arguments_are_never_covered(facts: list[GrantFact], body: str) -> None:
    """One changed argument and the agreement is to something else."""
    request = comment(body=f"Changed: {body}")

    assert not isinstance(decide(request, replace(ASKED, grants=tuple(facts))), Permit)


@given(FACTS, st.integers(1, 5), st.integers(1, 5))
def test_demanding_more_people_never_permits_more(fact: GrantFact, fewer: int, more: int) -> None:
    """What a larger quorum permits, a smaller one permits."""
    few, many = sorted((fewer, more))

    def permits(quorum: int) -> bool:
        found = context({**COMMENT, "approval": {"quorum": quorum}})
        own = replace(fact, policy_hash=found.policy_hash)
        return isinstance(decide(comment(), replace(found, grants=(own,))), Permit)

    assert permits(few) or not permits(many)
