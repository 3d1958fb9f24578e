"""A capability taken from the sidecar's memory is worth nothing to whoever took it.

The thief has root on the node: it is the strongest one there is, so the wire between door and
connector needs no separate one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from devcluster import wait
from doorward.errors import Code
from testbed import install, ledger, node, tasks
from testbed.site import Site

pytestmark = pytest.mark.e2e

ASK = """
mine = {"owner": "acme", "repo": "web", "number": 3, "body": "mine"}
print(ask("POST", "/v1/actions/code/issue.comment", mine))
"""


@dataclass(frozen=True)
class Loot:
    """An unspent capability, fresh from the memory of the door it was minted for."""

    task: str
    capability: str


@pytest.fixture
def loot(local: Site, start: Callable[..., str]) -> Loot:
    """Stop the connector, let an agent ask, and take the capability that nobody could spend."""
    with install.connector_stopped(local):
        spend = (install.PROGRAMS / "spend.py").read_text()
        name = start(ASK + spend)
        pod = tasks.running(local, name)
        door = node.process_of(local, pod, "door")
        found = wait.until(
            lambda: node.tokens_in_memory(door, "doorward-capability+jwt"), "a capability in memory", 240
        )
        assert len(found) == 1
    return Loot(name, found.pop())


def _hand_over(site: Site, task: str, loot: Loot, change: dict[str, Any] | None = None) -> dict[str, str]:
    """Put the loot where the thief's agent looks for it, and return the codes it was answered."""
    pod = tasks.pod_of(site, task)
    args = {"owner": "acme", "repo": "web", "number": 3, "body": "mine"} | (change or {})
    letter = {
        "url": f"https://{install.connector_ip(site)}:8443",
        "audience": "connector:code",
        "capability": loot.capability,
        "body": {"connector": "code", "action": "issue.comment", "args": args, "attachments": []},
    }
    place = node.workspace(pod)
    (place / "loot.part").write_text(json.dumps(letter))
    (place / "loot.part").rename(place / "loot.json")
    tasks.finished(site, task)
    found: dict[str, str] = json.loads(tasks.said(site, task).splitlines()[-1])
    return found


def test_another_pod_cannot_spend_it(local: Site, loot: Loot, start: Callable[..., str]) -> None:
    """Without the session's key there is no proof, and a key of one's own is the wrong one."""
    thief = start("spend.py")
    tasks.running(local, thief)

    codes = _hand_over(local, thief, loot)

    assert codes == {"without proof": Code.PROOF_INVALID, "own proof": Code.PROOF_INVALID}


def test_the_agent_itself_cannot_spend_it(local: Site, loot: Loot) -> None:
    """The very pod it was minted for cannot either: the key is in the sidecar's memory alone."""
    codes = _hand_over(local, loot.task, loot)

    assert codes == {"without proof": Code.PROOF_INVALID, "own proof": Code.PROOF_INVALID}


def test_nothing_was_done_with_it(local: Site, loot: Loot) -> None:
    """The forge has not seen the comment, and the ledger shows the capability unspent."""
    comments = local.forge()("GET", "/repos/acme/web/issues/3/comments")
    uid = tasks.get(local, loot.task)["metadata"]["uid"]
    names = [event["event"] for event in ledger.events(local, uid)]

    assert [c for c in comments if c["body"] == "mine"] == []
    assert "action.permitted" in names
    assert "capability.redeemed" not in names
