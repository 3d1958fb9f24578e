"""What the connector reads as facts, from the answers of a real Gitea."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devcluster import wait
from devcluster.forge.client import ForgeClient
from doorward.connectors import forge
from doorward.connectors.upstream import target

pytestmark = pytest.mark.e2e

As = Callable[[str], ForgeClient]
WEB = {"owner": "acme", "repo": "web"}


@pytest.fixture
def account(facts: dict[str, str]) -> As:
    """A client for the bot of this name."""

    def client(name: str) -> ForgeClient:
        token = Path(facts[f"GITEA_TOKEN_{name.replace('-', '_').upper()}"])
        return ForgeClient(facts["GITEA_URL"], Path(facts["GITEA_CA"]), token.read_text())

    return client


def read(reader: ForgeClient, action: str, **args: Any) -> Any:
    """The facts that the connector finds with its own request."""
    verb, given = forge.VERBS["gitea"][action], {**WEB, **args}
    request = verb.request(given)
    assert verb.facts is not None
    return verb.facts(given, reader(request.method, target(request)))


def test_head_checks_and_reviews_of_a_pull_request(account: As) -> None:
    """The head moves by pushing, checks are what CI posted last, and an approval goes stale with a push."""
    author, reviewer, reader = account("author-bot"), account("reviewer-bot"), account("read-bot")
    branch = f"agent/{uuid.uuid4().hex[:8]}"
    author("POST", "/repos/acme/web/branches", {"new_branch_name": branch, "old_branch_name": "main"})

    def push() -> str:
        file = {"operation": "create", "path": f"notes/{uuid.uuid4().hex}.md", "content": "bm90ZQ=="}
        change = {"branch": branch, "message": "Add a note", "files": [file]}
        return str(author("POST", "/repos/acme/web/contents", change)["commit"]["sha"])

    first = push()
    pull = author("POST", "/repos/acme/web/pulls", {"title": "A note", "head": branch, "base": "main"})
    number = pull["number"]
    empty = [
        read(reader, "check.read", commit=first, limit=50),
        read(reader, "review.read", number=number, limit=50),
    ]
    for state in ("pending", "success"):
        author("POST", f"/repos/acme/web/statuses/{first}", {"context": "ci/test", "state": state})

    def approved() -> dict[str, Any] | None:
        """One that holds: the forge takes pushes in later, and then withdraws what came before."""
        reviewer("POST", f"/repos/acme/web/pulls/{number}/reviews", {"event": "APPROVED", "body": "good"})
        last: dict[str, Any] = read(reader, "review.read", number=number, limit=50)[-1]
        return last if last["approved"] else None

    assert (empty, read(reader, "pull.read", number=number)) == ([[], []], first)
    assert read(reader, "check.read", commit=first, limit=50) == [
        {"name": "ci/test", "green": True, "state": "success"}
    ]
    assert read(reader, "check.read", commit=branch, limit=50) == read(
        reader, "check.read", commit=first, limit=50
    )
    assert wait.until(approved, "an approval", 60) == {
        "user": "reviewer-bot",
        "approved": True,
        "state": "APPROVED",
        "commit": first,
    }
    second = push()

    assert read(reader, "pull.read", number=number) == second
    assert read(reader, "check.read", commit=second, limit=50) == []
    assert {row["commit"] for row in read(reader, "review.read", number=number, limit=50)} == {first}
