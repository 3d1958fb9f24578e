"""Each part is killed at the worst moment; nothing is done twice and nothing is done in the dark."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import pytest

from devcluster import wait
from testbed import install, ledger, node, tasks
from testbed.site import AGENTS, Site

pytestmark = pytest.mark.e2e

ASK_ONCE = """
import json, os, urllib.error, urllib.request
url = os.environ["DOORWARD_URL"] + "/v1/actions/code/issue.comment"
body = json.dumps({"owner": "acme", "repo": "web", "number": 4, "body": "%s"}).encode()
try:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    print(json.dumps(json.load(urllib.request.urlopen(request, timeout=120))["receipt"]))
except urllib.error.HTTPError as error:
    print(json.dumps({"code": json.load(error)["code"]}))
"""
WAIT_FOR_GO = """
import os, threading
while not os.path.exists("/workspace/go"): threading.Event().wait(0.1)
"""


def _go(site: Site, name: str) -> None:
    (node.workspace(tasks.pod_of(site, name)) / "go").touch()


def _answer(site: Site, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(tasks.said(site, name).splitlines()[-1])
    return found


def _comments(site: Site, body: str) -> int:
    comments = site.forge()("GET", "/repos/acme/web/issues/4/comments")
    return len([c for c in comments if c["body"] == body])


def test_without_the_broker_nothing_happens(local: Site, start: Callable[..., str]) -> None:
    """While the broker is down the agent gets `unavailable`, and the forge sees nothing."""
    name = start(WAIT_FOR_GO + ASK_ONCE % "no broker")
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
    name = start_shared(WAIT_FOR_GO + ASK_ONCE % words)
    pod = tasks.running(site, name)
    uid = tasks.get(site, name)["metadata"]["uid"]
    with install.forge_frozen(site):
        _go(site, name)
        wait.until(lambda: ledger.count(site, uid, "capability.redeemed"), "the redemption", 90)
        node.kill(site, install.connector_pod(site), "connector")
    return name, words, pod["metadata"]["uid"]


def test_a_connector_killed_in_between_is_no_success(local: Site, cut_off: tuple[str, str, str]) -> None:
    """Killed after redemption and before the outcome: the agent is not told that it worked."""
    name, _, _ = cut_off
    tasks.finished(local, name, seconds=180)

    assert _answer(local, name)["code"] in {"outcome_unknown", "unavailable"}


def test_a_killed_door_opens_a_new_session(local: Site, start: Callable[..., str]) -> None:
    """A new sidecar container gets a new session, the old one is dead, and the task goes on."""
    words = f"after the door {uuid.uuid4().hex}"
    name = start(WAIT_FOR_GO + ASK_ONCE % words)
    pod = tasks.running(local, name)
    uid = tasks.get(local, name)["metadata"]["uid"]
    node.kill(local, pod, "door")
    wait.until(lambda: ledger.count(local, uid, "session.opened") == 2, "a second session", 60)
    tasks.running(local, name)
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
    ended = [tasks.finished(local, name, seconds=180) for name in names]
    pods = local.kubectl.get("pods", "-n", AGENTS)["items"]
    owners = [p["metadata"]["annotations"]["doorward.dev/task-uid"] for p in pods]

    assert [tasks.said(local, name).strip() for name in names] == ["done"] * 4
    assert [owners.count(task["metadata"]["uid"]) for task in ended] == [1] * 4


UNTIL_YES = """
import time
end = time.monotonic() + 30
while True:
    try:
        said = body.replace(b"read only", b"back")
        request = urllib.request.Request(url, said, {"Content-Type": "application/json"})
        print(json.dumps(json.load(urllib.request.urlopen(request, timeout=120))["receipt"]))
        break
    except urllib.error.HTTPError as error:
        code = json.load(error)["code"]
        if code != "unavailable" or time.monotonic() > end:
            print(json.dumps({"code": code}))
            break
        threading.Event().wait(0.5)
"""


def test_a_ledger_that_cannot_write_says_no(local: Site, start: Callable[..., str]) -> None:
    """With the disk read-only there is no yes; once it is back there is one, without a restart."""
    again = "\nos.remove('/workspace/go')\n" + WAIT_FOR_GO
    mark = uuid.uuid4().hex
    name = start(WAIT_FOR_GO + ASK_ONCE % f"read only {mark}" + again + UNTIL_YES)
    tasks.running(local, name)
    with install.ledger_read_only(local):
        _go(local, name)
        wait.until(lambda: tasks.said(local, name), "an answer", 60)
    _go(local, name)
    tasks.finished(local, name)
    answers = [json.loads(line) for line in tasks.said(local, name).splitlines()]
    restarts = install.pods(local, "broker")[0]["status"]["containerStatuses"][0]["restartCount"]

    assert answers[0] == {"code": "unavailable"}
    assert "decision" in answers[1]
    said = (_comments(local, f"read only {mark}"), _comments(local, f"back {mark}"))
    assert (said, restarts) == ((0, 1), 0)


def test_what_a_killed_connector_left_is_unknown(local: Site, cut_off: tuple[str, str, str]) -> None:
    """The broker's sweeper says so when nobody else does; there was no second try and no second pod."""
    name, words, pod = cut_off
    uid = tasks.get(local, name)["metadata"]["uid"]
    wait.until(lambda: ledger.count(local, uid, "outcome.lost"), "the sweeper's verdict", 180)

    assert _comments(local, words) <= 1
    assert ledger.count(local, uid, "capability.redeemed") == 1
    assert pod == tasks.pod_of(local, name)["metadata"]["uid"]
