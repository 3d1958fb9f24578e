"""Two brokers on one PostgreSQL, installed by the chart: one dies, the database goes, nothing is done twice.

Changes what other tests use, so it runs only when asked for: `just lifecycle`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import wait
from testbed import database, install, ledger, node, tasks
from testbed.site import SYSTEM, Site

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.environ.get("DOORWARD_TEST_RESTART") != "yes", reason="restarts Doorward"),
    pytest.mark.timeout(900),
]

COMMENT = """
import json, os, threading, urllib.error, urllib.request
while not os.path.exists("/workspace/go"): threading.Event().wait(0.1)
url = os.environ["DOORWARD_URL"] + "/v1/actions/code/issue.comment"
body = json.dumps({"owner": "acme", "repo": "web", "number": 4, "body": "%s"}).encode()
while True:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        print(json.dumps(json.load(urllib.request.urlopen(request, timeout=60))["receipt"]))
        break
    except urllib.error.HTTPError as error:
        print(error.read().decode())
        if error.code != 503: raise
    threading.Event().wait(0.5)
"""


@pytest.fixture
def put_back(local: Site) -> Iterator[None]:
    """As other tests expect it, whatever happened."""
    yield
    install.mend(local)
    install.doorward(local, broker={"replicas": 1, "ledger": {"secret": ""}})
    local.kubectl("delete", "secret", database.SECRET, "-n", SYSTEM, "--ignore-not-found")
    local.kubectl("delete", "pvc", "ledger-doorward-broker-1", "-n", SYSTEM, "--ignore-not-found")


def ready(site: Site) -> int:
    """Brokers that answer."""
    found = site.kubectl.get("statefulset", "doorward-broker", "-n", SYSTEM)["status"]
    return int(found.get("readyReplicas", 0))


def comments(site: Site) -> list[str]:
    """Everything that was said."""
    return [comment["body"] for comment in site.forge()("GET", "/repos/acme/web/issues/4/comments?limit=50")]


def go(site: Site, names: list[str]) -> None:
    """Let waiting agents do their one action."""
    for name in names:
        (node.workspace(tasks.pod_of(site, name)) / "go").touch()


def ended(site: Site, names: list[str]) -> None:
    """Wait for the end of tasks."""
    for name in names:
        tasks.finished(site, name)


def acted(spoken: list[str], words: str, told: str) -> bool:
    """Once; or not at all, where the one action that the role gives was permitted and then broke off."""
    count = spoken.count(words)
    return count == 1 or (count == 0 and "limit_exceeded" in told)


def test_two_brokers_stand_in_for_each_other(
    local: Site, start: Callable[..., str], put_back: None, tmp_path: Path
) -> None:
    """One is killed, then the database is away: no task acts twice, and there is one chain (I1, I2, I6)."""
    with database.served(local, tmp_path) as found:
        local.kubectl.apply(found.secret())
        install.doorward(local, broker={"replicas": 2, "ledger": found.values()})
        said = [f"postgresql-{uuid.uuid4()}" for _ in range(6)]
        names = [start(COMMENT % words) for words in said]
        for name in names:
            tasks.running(local, name)
        before, one_down, none_up = names[:2], names[2:4], names[4:]
        go(local, before)
        ended(local, before)
        node.kill(local, install.pods(local, "broker")[0], "broker")
        go(local, one_down)
        ended(local, one_down)
        found.server.stop()
        wait.until(lambda: ready(local) == 0, "brokers without a ledger to say so", 60)
        go(local, none_up)
        found.server.start()
        wait.until(lambda: ready(local) == 2, "both brokers to be back", 120)
        ended(local, none_up)
        spoken, chain = comments(local), ledger.verify(local)
        told = [tasks.said(local, name) for name in names]

    assert [spoken.count(words) for words in said[:2]] == [1, 1]
    assert [acted(spoken, *each) for each in zip(said, told, strict=True)] == [True] * len(said), told
    assert chain == "ok"
