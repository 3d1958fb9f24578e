"""The development forge: what is in it, who may do what, and what it writes down."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devcluster.forge.client import ForgeClient, ForgeError
from devcluster.wait import until

pytestmark = pytest.mark.e2e

As = Callable[[str], ForgeClient]


@pytest.fixture
def account(facts: dict[str, str]) -> As:
    """A client for the bot of this name, with the token it was given."""

    def client(name: str) -> ForgeClient:
        token = Path(facts[f"GITEA_TOKEN_{name.replace('-', '_').upper()}"])
        return ForgeClient(facts["GITEA_URL"], Path(facts["GITEA_CA"]), token.read_text())

    return client


def _refusal(act: Callable[[], Any]) -> int:
    with pytest.raises(ForgeError) as refused:
        act()
    return refused.value.status


def _branch(author: ForgeClient) -> str:
    name = f"agent/{uuid.uuid4().hex[:8]}"
    author("POST", "/repos/acme/web/branches", {"new_branch_name": name, "old_branch_name": "main"})
    return name


def _change(branch: str) -> dict[str, Any]:
    file = {"operation": "create", "path": f"notes/{uuid.uuid4().hex}.md", "content": "bm90ZQ=="}
    return {"branch": branch, "message": "Add a note", "files": [file]}


def test_the_seed_is_there(account: As) -> None:
    """Issue 7 of acme/web is the bug that examples and demos talk about, and it has its labels."""
    reader = account("read-bot")
    issue = reader("GET", "/repos/acme/web/issues/7")

    assert {"bug", "high-priority"} == {label["name"] for label in issue["labels"]}
    assert "page_count" in issue["body"]
    assert len(reader("GET", "/repos/acme/billing/issues")) >= 2


def test_tokens_are_readable_by_their_owner_only(facts: dict[str, str]) -> None:
    """A token file has mode 0600."""
    paths = [Path(value) for name, value in facts.items() if name.startswith("GITEA_TOKEN_")]

    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600] * 4


def test_the_author_writes_to_branches_and_never_to_main(account: As) -> None:
    """A change on a branch is taken, the same on the protected branch is refused."""
    author = account("author-bot")

    assert author("POST", "/repos/acme/web/contents", _change(_branch(author)))["commit"]
    assert _refusal(lambda: author("POST", "/repos/acme/web/contents", _change("main"))) in {403, 422}


def test_nobody_does_the_duty_of_another(account: As) -> None:
    """The author cannot merge, the reviewer cannot write, the reader cannot comment; together they can."""
    author, reviewer, merger = account("author-bot"), account("reviewer-bot"), account("merge-bot")
    branch = _branch(author)
    author("POST", "/repos/acme/web/contents", _change(branch))
    pull = author("POST", "/repos/acme/web/pulls", {"title": "A note", "head": branch, "base": "main"})
    path = f"/repos/acme/web/pulls/{pull['number']}"
    until(lambda: author("GET", path)["mergeable"], "the forge to know that it can be merged")

    assert _refusal(lambda: author("POST", f"{path}/merge", {"Do": "merge"})) in {403, 405}
    assert _refusal(lambda: merger("POST", f"{path}/merge", {"Do": "merge"})) == 405  # not approved yet
    assert _refusal(lambda: reviewer("POST", "/repos/acme/web/contents", _change(branch))) == 403
    assert (
        _refusal(lambda: account("read-bot")("POST", "/repos/acme/web/issues/7/comments", {"body": "me too"}))
        == 403
    )

    def merged() -> bool:
        """Until the forge has looked at a push it says 'later' (405), and then it drops earlier approvals."""
        if all(review["dismissed"] for review in author("GET", f"{path}/reviews")):
            reviewer("POST", f"{path}/reviews", {"event": "APPROVED", "body": "good"})
        if not author("GET", path)["merged"]:
            merger("POST", f"{path}/merge", {"Do": "merge"})
        return bool(author("GET", path)["merged"])

    assert until(merged, "the merge of an approved pull request", seconds=90, every=1)


def test_the_access_log_names_method_path_user_and_status(facts: dict[str, str], account: As) -> None:
    """One JSON object per request, so that it can be joined with a ledger."""
    mark = uuid.uuid4().hex
    account("author-bot")("GET", f"/repos/acme/web/issues?q={mark}")
    log = Path(facts["GITEA_ACCESS_LOG"])
    line = until(lambda: next((one for one in log.read_text().splitlines() if mark in one), None), "the line")

    entry = json.loads(line)

    assert (entry["method"], entry["user"], entry["status"]) == ("GET", "author-bot", 200)
    assert f"/api/v1/repos/acme/web/issues?q={mark}" == entry["path"]
