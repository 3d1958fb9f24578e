"""What the forge saw and what the ledger says are the same story."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster import wait
from testbed import ledger, tasks
from testbed.site import Site

pytestmark = pytest.mark.e2e

WORK = """
def act(action, **args):
    _, answer = ask("POST", "/v1/actions/code/" + action, args)
    print(json.dumps(answer.get("receipt") or {"code": answer["code"]}))
act("issue.comment", owner="acme", repo="web", number=2, body="one")
act("issue.comment", owner="acme", repo="web", number=2, body="two")
act("issue.comment", owner="acme", repo="billing", number=1, body="three")
act("issue.read", owner="acme", repo="web", number=2)
"""


COMMENTED = "/repos/acme/web/issues/2/"
"""What the task may write to; tasks of other tests that still end write elsewhere."""


def _writes(log: Path, start: int) -> list[dict[str, str]]:
    with log.open() as lines:
        lines.seek(start)
        requests = [json.loads(line) for line in lines if line.startswith("{")]
    return [
        r
        for r in requests
        if r["method"] not in {"GET", "HEAD", "OPTIONS"}
        and r["user"] == "author-bot"
        and COMMENTED in r["path"]
    ]


def test_each_write_is_permitted_redeemed_and_reported_once(site: Site, start: Callable[..., str]) -> None:
    """One write in the forge's log: one permit, one redemption, one outcome; one denial per refusal."""
    log = Path(site.facts["GITEA_ACCESS_LOG"])
    before = log.stat().st_size
    name = start(WORK)
    task = tasks.finished(site, name)
    said = [json.loads(line) for line in tasks.said(site, name).splitlines()]
    events = ledger.settled(site, task["metadata"]["uid"])
    wait.until(lambda: _writes(log, before), "the forge's log to tell of the write", 60)
    drafts = [e for e in events if e.get("action") == "issue.comment"]
    permitted = [e for e in drafts if e["event"] == "action.permitted"]
    denied = [(e["code"], e.get("rule")) for e in drafts if e["event"] == "action.denied"]

    assert [answer.get("code") for answer in said] == [None, "limit_exceeded", "no_rule", None]
    assert len(_writes(log, before)) == 1
    assert len(permitted) == 1
    capability = permitted[0]["capability"]
    chain = [e["event"] for e in events if e.get("capability") == capability]
    assert chain == ["action.permitted", "capability.redeemed", "outcome.reported"]
    assert said[0]["capability"] == capability
    assert [code for code, _ in denied] == ["limit_exceeded", "no_rule"]
    assert denied[0][1] == "comment"


def test_the_ledger_has_no_gap(site: Site) -> None:
    """Each event's hash covers the one before: nothing was taken out or changed."""
    assert ledger.verify(site) == "ok"
