"""Which counters an action takes room from, how much, and what a full one says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from policyworld import COMMENT, TENANT, ask, comment, context

from doorward.core.decision import Denial, Permit, Reservation
from doorward.errors import Code
from doorward.policy import ActionRequest, bound, decide, over_limit
from doorward.policy.limits import bytes_of, micro

DAY = 86_400
OPEN = {**COMMENT, "actions": ["issue.open"]}
MODEL = {**COMMENT, "actions": ["model.ask"]}
WHOLE = (*TENANT["effects"], "merge", "deploy")


@dataclass(frozen=True)
class Row:
    """One bound: where it is written, which counter holds it, and the words of its no."""

    at: str
    rule: dict[str, Any]
    request: ActionRequest
    spec: dict[str, Any]
    """Changes of the context."""
    key: str
    room: tuple[int, int, int | None]
    """Limit, amount and window of the reservation."""
    code: Code
    says: str
    allowed: str
    ask: str
    used: int = field(default=0)
    """What is taken when the no is worded; the limit if zero."""


def of_rule(**limits: int) -> dict[str, Any]:
    """The comment rule with limits."""
    return {**COMMENT, "limits": limits}


def of_role(**ceilings: Any) -> dict[str, Any]:
    """A role with ceilings."""
    return {"role_spec": {"ceilings": ceilings}}


def of_task(**budgets: Any) -> dict[str, Any]:
    """A task with budgets."""
    return {"task_spec": {"budgets": budgets}}


def of_tenant(**ceilings: Any) -> dict[str, Any]:
    """A Connector with a ceiling."""
    return {"tenants": ({**TENANT, "ceilings": ceilings},)}


def asking(**args: Any) -> ActionRequest:
    """A question to the model."""
    return ask("model.ask", **args)


OPENING = ask("issue.open", environment="x")
LIMIT, BUDGET = Code.LIMIT_EXCEEDED, Code.BUDGET_EXHAUSTED
AGAIN, TOMORROW = "try again in a minute", "try again when a day has passed"
AUTHOR, OWNER = "the role's author for a higher ceiling", "the owner of the Connector to raise the ceiling"
LARGER = "a task with a larger budget"
ROLE, PERSON = "over all tasks of role fixer", "over all tasks of the role that the same person asked for"
NAMESPACE = "over all tasks of the namespace through Connector code"
ALICE = "requester:agents/alice/role:fixer"
TABLE = [
    Row(
        "limits.perTask",
        of_rule(perTask=3),
        comment(),
        {},
        "task:task-1/rule:comment",
        (3, 1, None),
        LIMIT,
        "3 of 3 actions in all are used under rule comment in this task",
        "3 actions in all under rule comment in this task",
        "the role's author for a higher limit, or a new task",
    ),
    Row(
        "limits.perMinute",
        of_rule(perMinute=3),
        comment(),
        {},
        "task:task-1/rule:comment/minute",
        (3, 1, 60),
        LIMIT,
        "3 of 3 actions a minute are used under rule comment in this task",
        "3 actions a minute under rule comment in this task",
        AGAIN,
    ),
    Row(
        "ceilings.perMinute",
        COMMENT,
        comment(),
        of_role(perMinute=3),
        "role:agents/fixer/minute",
        (3, 1, 60),
        LIMIT,
        f"3 of 3 actions a minute are used {ROLE}",
        f"3 actions a minute {ROLE}",
        AGAIN,
    ),
    Row(
        "ceilings.perDay",
        COMMENT,
        comment(),
        of_role(perDay=3),
        "role:agents/fixer/day",
        (3, 1, DAY),
        LIMIT,
        f"3 of 3 actions a day are used {ROLE}",
        f"3 actions a day {ROLE}",
        TOMORROW,
    ),
    Row(
        "ceilings.open",
        OPEN,
        OPENING,
        of_role(open={"issue": 3}),
        "role:agents/fixer/open:issue",
        (3, 1, None),
        LIMIT,
        f"3 of 3 objects of kind issue in all are open {ROLE}",
        f"3 objects of kind issue in all {ROLE}",
        f"close one of them upstream and read it, or ask {AUTHOR}",
    ),
    Row(
        "ceilings.tokensPerDay",
        MODEL,
        asking(maxTokens=40),
        of_role(tokensPerDay=100),
        "role:agents/fixer/tokens/day",
        (100, 40, DAY),
        LIMIT,
        f"70 of 100 tokens a day are used or set aside {ROLE}, and this action may use 40",
        f"100 tokens a day {ROLE}",
        f"for one that uses at most 30, or {AUTHOR}",
        used=70,
    ),
    Row(
        "ceilings.spendPerDay",
        MODEL,
        asking(maxTokens=40),
        of_role(spendPerDay="0.001"),
        "role:agents/fixer/spend/day",
        (1000, 800, DAY),
        LIMIT,
        f"0.0005 of 0.001 of the currency a day are used or set aside {ROLE}, and this action may use 0.0008",
        f"0.001 of the currency a day {ROLE}",
        f"for one that uses at most 0.0005, or {AUTHOR}",
        used=500,
    ),
    Row(
        "ceilings.perRequester.perMinute",
        COMMENT,
        comment(),
        of_role(perRequester={"perMinute": 3}),
        f"{ALICE}/minute",
        (3, 1, 60),
        LIMIT,
        f"3 of 3 actions a minute are used {PERSON}",
        f"3 actions a minute {PERSON}",
        AGAIN,
    ),
    Row(
        "ceilings.perRequester.perDay",
        COMMENT,
        comment(),
        of_role(perRequester={"perDay": 3}),
        f"{ALICE}/day",
        (3, 1, DAY),
        LIMIT,
        f"3 of 3 actions a day are used {PERSON}",
        f"3 actions a day {PERSON}",
        TOMORROW,
    ),
    Row(
        "ceilings.perRequester.tokensPerDay",
        MODEL,
        asking(),
        of_role(perRequester={"tokensPerDay": 5000}),
        f"{ALICE}/tokens/day",
        (5000, 1000, DAY),
        LIMIT,
        f"5000 of 5000 tokens a day are used or set aside {PERSON}, and this action may use 1000",
        f"5000 tokens a day {PERSON}",
        TOMORROW,
    ),
    Row(
        "tenants[].ceilings.perMinute",
        COMMENT,
        comment(),
        of_tenant(perMinute={"draft": 3, "read": 1}),
        "connector:code/agents/effect:draft/minute",
        (3, 1, 60),
        LIMIT,
        f"3 of 3 draft actions a minute are used {NAMESPACE}",
        f"3 draft actions a minute {NAMESPACE}",
        AGAIN,
    ),
    Row(
        "tenants[].ceilings.perDay",
        COMMENT,
        comment(),
        of_tenant(perDay={"draft": 3}),
        "connector:code/agents/effect:draft/day",
        (3, 1, DAY),
        LIMIT,
        f"3 of 3 draft actions a day are used {NAMESPACE}",
        f"3 draft actions a day {NAMESPACE}",
        TOMORROW,
    ),
    Row(
        "tenants[].ceilings.spendPerDay",
        MODEL,
        asking(maxTokens=5000),
        of_tenant(spendPerDay="1.5"),
        "connector:code/agents/spend/day",
        (1_500_000, 20_000, DAY),
        LIMIT,
        f"1.5 of 1.5 of the currency a day are used or set aside {NAMESPACE}, and this action may use 0.02",
        f"1.5 of the currency a day {NAMESPACE}",
        TOMORROW,
    ),
    Row(
        "budgets.actions",
        COMMENT,
        comment(),
        of_task(actions={"draft": 3}),
        "task:task-1/effect:draft",
        (3, 1, None),
        BUDGET,
        "3 of 3 draft actions in all are used under the task's budget",
        "3 draft actions in all under the task's budget",
        LARGER,
    ),
    Row(
        "budgets.bytes",
        COMMENT,
        comment(),
        of_task(bytes="8Mi"),
        "task:task-1/bytes",
        (8_388_608, 4_194_359, None),
        BUDGET,
        "8388608 of 8388608 bytes in all are used or set aside under the task's budget,"
        " and this action may use 4194359",
        "8388608 bytes in all under the task's budget",
        LARGER,
    ),
    Row(
        "budgets.tokens",
        MODEL,
        asking(),
        of_task(tokens=1500),
        "task:task-1/tokens",
        (1500, 1000, None),
        BUDGET,
        "1000 of 1500 tokens in all are used or set aside under the task's budget,"
        " and this action may use 1000",
        "1500 tokens in all under the task's budget",
        f"for one that uses at most 500, or {LARGER}",
        used=1000,
    ),
    Row(
        "budgets.spend",
        MODEL,
        asking(),
        of_task(spend="2.00"),
        "task:task-1/spend",
        (2_000_000, 20_000, None),
        BUDGET,
        "2 of 2 of the currency in all are used or set aside under the task's budget,"
        " and this action may use 0.02",
        "2 of the currency in all under the task's budget",
        LARGER,
    ),
]
IDS = [row.at for row in TABLE]


def reserved(row: Row) -> Reservation:
    """The one reservation of a row."""
    found = decide(row.request, context(row.rule, **row.spec))
    assert isinstance(found, Permit)
    (reservation,) = found.reservations
    return reservation


@pytest.mark.parametrize("row", TABLE, ids=IDS)
def test_each_bound_takes_room_from_one_counter(row: Row) -> None:
    """Keyed by whoever holds the bound, with the most that the action may take."""
    found = reserved(row)

    assert (found.key, (found.limit, found.amount, found.window_seconds)) == (row.key, row.room)


@pytest.mark.parametrize("row", TABLE, ids=IDS)
def test_each_full_counter_says_what_helps(row: Row) -> None:
    """The no says how much is taken of what, whose it is, what is allowed, and whom to ask for more."""
    denial = over_limit(reserved(row), row.used or reserved(row).limit)

    assert denial == Denial(
        row.code,
        row.says,
        rule="comment" if row.at.startswith("limits.") else None,
        allowed=row.allowed,
        ask=row.ask,
    )
    assert bound(reserved(row)) == row.allowed


def test_what_an_action_does_not_use_is_not_taken() -> None:
    """A comment takes nothing of tokens, money, open issues and the budgets of other effects."""
    spec = of_task(tokens=1, spend="1", actions={"read": 1, "merge": 1}) | of_role(open={"issue": 1})
    found = decide(comment(), context(**spec))

    assert isinstance(found, Permit)
    assert found.reservations == ()


def test_of_several_entries_the_least_holds() -> None:
    """Two entries of the Connector that admit the action: the smaller ceiling counts."""
    loose = {**TENANT, "ceilings": {"perMinute": {"draft": 9}}}
    tight = {**TENANT, "ceilings": {"perMinute": {"draft": 2}}}
    other = {**TENANT, "resources": {"repository": ["acme/api"]}, "ceilings": {"perMinute": {"draft": 1}}}
    found = decide(comment(), context(tenants=(loose, tight, other)))

    assert isinstance(found, Permit)
    assert [item.limit for item in found.reservations] == [2]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("0", 0), ("0.000001", 1), ("2.00", 2_000_000), ("0.1", 100_000), ("999999999.999999", 999999999999999)],
)
def test_money_is_counted_exactly(amount: str, expected: int) -> None:
    """Decimals become whole millionths; no float comes near them."""
    assert expected == micro(amount)


def test_quantities_of_bytes() -> None:
    """Ki, Mi and Gi are powers of 1024."""
    assert [bytes_of(text) for text in ("1Ki", "3Mi", "2Gi")] == [1024, 3 * 1024**2, 2 * 1024**3]
