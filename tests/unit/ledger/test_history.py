"""What the ledger remembers for conditions: of one task, or of another role in the same namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from books import PIN, Book

from doorward.ledger import Granted
from doorward.ledger.history import OTHERS, REMEMBERED_SECONDS


async def done(book: Book, number: int, about: dict[str, Any] | None = None, **pin: str) -> None:
    """One action of a task, from its decision to its outcome."""
    uid = pin.get("uid", "task-uid")
    found = replace(PIN, **{"pod_uid": f"{uid}-pod", **pin})
    session = await book.session(found)
    ask = replace(book.ask(session, f"request-{number}"), resource=about or {"repository": "acme/web"})
    granted = await book.ledger.permit(ask, book.permit(), book.terms)
    assert isinstance(granted, Granted)
    spent = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    await book.ledger.report(
        book.report(spent.redemption, references=({"kind": "issue", "id": str(number)},))
    )


async def test_what_a_task_did(book: Book) -> None:
    """Outcomes come oldest first, with role, task, time and what they showed."""
    await done(book, 1)
    book.now += 10
    await done(book, 2)
    await done(book, 3, uid="other-uid", name="fix-2")
    found = book.ledger.history.of_task("task-uid")

    assert [(item.role, item.task, item.at, item.shown) for item in found] == [
        ("bug-fixer", "fix-1", 1000.0, ({"kind": "issue", "id": "1"},)),
        ("bug-fixer", "fix-1", 1010.0, ({"kind": "issue", "id": "2"},)),
    ]


async def test_what_was_spent_is_counted(book: Book) -> None:
    """Every capability that was redeemed counts for its rule and its effect, whatever became of it."""
    await done(book, 1)
    await done(book, 2)
    session = await book.session(replace(PIN, pod_uid="task-uid-pod"))
    await book.ledger.permit(book.ask(session, "request-unspent"), book.permit(), book.terms)

    assert book.ledger.history.spent("task-uid") == {("comment", "draft"): 2}


async def test_another_role_is_remembered_in_its_namespace(book: Book) -> None:
    """Facts never cross namespaces, roles do not mix, and what is old is forgotten."""
    await done(book, 1)
    await done(book, 2, uid="b", namespace="elsewhere")
    await done(book, 3, uid="c", role="tester")
    history = book.ledger.history
    found = [
        [item.shown[0]["id"] for item in history.of_role(namespace, role, now)]
        for namespace, role, now in (
            ("agents", "bug-fixer", book.now),
            ("elsewhere", "bug-fixer", book.now),
            ("agents", "tester", book.now),
            ("agents", "nobody", book.now),
            ("agents", "bug-fixer", book.now + REMEMBERED_SECONDS + 1),
        )
    ]

    assert found == [["1"], ["2"], ["3"], [], []]


@pytest.mark.parametrize("repository", ["acme/web", "a_me/web", 'a"b/%', "a\\b/c"])
async def test_one_repository_is_found_among_many(book: Book, repository: str) -> None:
    """However busy the role is elsewhere, what it did to one repository is found, by its exact name."""
    await done(book, 1, {"issue": 7, "repository": repository})
    await done(book, 2, {"repository": "axme/web"})
    found = book.ledger.history.of_role("agents", "bug-fixer", book.now, repository)

    assert [item.resource["repository"] for item in found] == [repository]


def test_the_bounds_fit_a_condition() -> None:
    """What one list of facts can hold, a condition can walk twice over within its 10,000 turns."""
    assert OTHERS**2 > 10_000 > OTHERS * 2
