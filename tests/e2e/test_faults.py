"""Each part is killed at the worst moment; nothing is done twice and nothing is done in the dark."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from devcluster import wait
from testbed import install, ledger, node, tasks
from testbed.site import AGENTS, Site

pytestmark = pytest.mark.e2e

COMMENT = """
def comment(asked, words):
    issue = {"owner": "acme", "repo": "web", "number": 4}
    _, answer = asked("POST", "/v1/actions/code/issue.comment", {**issue, "body": words})
    print(json.dumps(answer.get("receipt") or {"code": answer["code"]}), flush=True)
"""
WAIT = """
while not os.path.exists("/workspace/%s"): pause(0.1)
"""
WAIT_FOR_GO = COMMENT + WAIT % "go"


def _go(site: Site, name: str, mark: str = "go") -> None:
    (node.workspace(tasks.pod_of(site, name)) / mark).touch()


def _answer(site: Site, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(tasks.said(site, name).splitlines()[-1])
    return found


def _comments(site: Site, body: str) -> int:
    comments = site.forge()("GET", "/repos/acme/web/issues/4/comments")
    return len([c for c in comments if c["body"] == body])


def _restarts(pod: dict[str, Any]) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def _back(pod: dict[str, Any], restarts: int) -> bool:
    """Whether its container was started again since, and is ready."""
    return _restarts(pod) > restarts and bool(pod["status"]["containerStatuses"][0]["ready"])


def test_without_the_broker_nothing_happens(local: Site, start: Callable[..., str]) -> None:
    """While the broker is down the agent gets `unavailable`, and the forge sees nothing."""
    name = start(WAIT_FOR_GO + "comment(once, 'no broker')")
    tasks.running(local, name)
    with install.broker_stopped(local):
        _go(local, name)
        tasks.finished(local, name)

    assert _answer(local, name) == {"code": "unavailable"}
    assert _comments(local, "no broker") == 0


@pytest.fixture(scope="module")
def cut_off(site: Site, start_shared: Callable[..., str]) -> tuple[str, str, str]:
    """A task, its comment and its pod; the connector was killed between redemption and outcome."""
    if site.provider != "local":
        pytest.skip(f"provider {site.provider} gives no access to the node's processes")
    words = f"killed {uuid.uuid4().hex}"
    name = start_shared(WAIT_FOR_GO + f"comment(ask, {words!r})")
    pod = tasks.running(site, name)
    uid = tasks.get(site, name)["metadata"]["uid"]
    before = _restarts(install.connector_pod(site))
    with install.forge_frozen(site):
        _go(site, name)
        wait.until(lambda: ledger.count(site, uid, "capability.redeemed"), "the redemption", 240)
        node.kill(site, install.connector_pod(site), "connector")
    wait.until(lambda: _back(install.connector_pod(site), before), "the connector to be back", 240)
    return name, words, pod["metadata"]["uid"]


def test_a_connector_killed_in_between_is_no_success(local: Site, cut_off: tuple[str, str, str]) -> None:
    """Killed after redemption and before the outcome: the agent is not told that it worked."""
    name, _, _ = cut_off
    tasks.finished(local, name)

    assert _answer(local, name)["code"] in {"outcome_unknown", "unavailable"}


def test_a_killed_door_opens_a_new_session(local: Site, start: Callable[..., str]) -> None:
    """A new sidecar container gets a new session, the old one is dead, and the task goes on."""
    words = f"after the door {uuid.uuid4().hex}"
    name = start(WAIT_FOR_GO + f"comment(ask, {words!r})")
    pod = tasks.running(local, name)
    uid = tasks.get(local, name)["metadata"]["uid"]
    node.kill(local, pod, "door")
    wait.until(lambda: ledger.count(local, uid, "session.opened") > 1, "a second session", 240)
    tasks.running(local, name, door_restarts=1)
    _go(local, name)
    tasks.finished(local, name)

    assert _comments(local, words) == 1
    assert ledger.count(local, uid, "session.closed") >= 1
    assert ledger.count(local, uid, "task.frozen") == 0


def test_an_operator_killed_at_any_time(local: Site, start: Callable[..., str]) -> None:
    """Both operators killed while tasks start: the end is the same as without."""
    names = [start("print('done')") for _ in range(4)]
    for pod in install.pods(local, "operator"):
        node.kill(local, pod, "operator")
    ended = [tasks.finished(local, name, seconds=300) for name in names]
    pods = local.kubectl.get("pods", "-n", AGENTS)["items"]
    owners = [p["metadata"].get("annotations", {}).get("doorward.dev/task-uid") for p in pods]

    assert [tasks.said(local, name).strip() for name in names] == ["done"] * 4
    assert [owners.count(task["metadata"]["uid"]) for task in ended] == [1] * 4


def test_a_ledger_that_cannot_write_says_no(local: Site, start: Callable[..., str]) -> None:
    """With the disk read-only there is no yes; once it is back there is one, without a restart."""
    mark = uuid.uuid4().hex
    first, then = f"comment(once, 'read only {mark}')", f"comment(ask, 'back {mark}')"
    name = start(WAIT_FOR_GO + first + WAIT % "again" + then)
    tasks.running(local, name)
    before = _restarts(*install.pods(local, "broker"))
    with install.ledger_read_only(local):
        _go(local, name)
        wait.until(lambda: tasks.said(local, name), "an answer", 240)
    _go(local, name, "again")
    tasks.finished(local, name)
    answers = [json.loads(line) for line in tasks.said(local, name).splitlines()]

    assert answers[0] == {"code": "unavailable"}
    assert "decision" in answers[1]
    said = (_comments(local, f"read only {mark}"), _comments(local, f"back {mark}"))
    assert (said, _restarts(*install.pods(local, "broker"))) == ((0, 1), before)


def test_what_a_killed_connector_left_is_unknown(local: Site, cut_off: tuple[str, str, str]) -> None:
    """The broker's sweeper says so when nobody else does; there was no second try and no second pod."""
    name, words, pod = cut_off
    uid = tasks.get(local, name)["metadata"]["uid"]
    wait.until(lambda: ledger.count(local, uid, "outcome.lost"), "the sweeper's verdict", 300)

    assert _comments(local, words) <= 1
    assert ledger.count(local, uid, "capability.redeemed") == 1
    assert pod == tasks.pod_of(local, name)["metadata"]["uid"]
