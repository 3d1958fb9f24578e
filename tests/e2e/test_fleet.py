"""Many tasks at once; and the end of one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from devcluster import wait
from testbed import ledger, tasks
from testbed.site import AGENTS, Site

pytestmark = pytest.mark.e2e

FLEET = int(os.environ.get("DOORWARD_FLEET", "10"))
READ = """
print(ask("GET", "/via/code/repos/acme/web/issues/1")[0])
"""
KEEP_ASKING = """
while True:
    once("GET", "/via/code/repos/acme/web/issues/1")
    pause(0.1)
"""
SECONDS = 10
"""Far more than the news of an end takes, far less than the task would have lived."""


def test_many_at_once(site: Site, start: Callable[..., str]) -> None:
    """Tasks applied together all finish; each had one pod and acted once."""
    names = [start(READ) for _ in range(FLEET)]
    ended = [tasks.finished(site, name, seconds=600) for name in names]
    uids = [task["metadata"]["uid"] for task in ended]
    reads = [[e for e in ledger.settled(site, uid) if e["event"] == "outcome.reported"] for uid in uids]
    pods = [
        pod["metadata"].get("annotations", {}).get("doorward.dev/task-uid")
        for pod in site.kubectl.get("pods", "-n", AGENTS)["items"]
    ]

    assert [task["status"]["phase"] for task in ended] == [ended[0]["status"]["phase"]] * FLEET
    assert [tasks.said(site, name).strip() for name in names] == ["200"] * FLEET
    assert [len(each) for each in reads] == [1] * FLEET
    assert [pods.count(uid) for uid in uids] == [1] * FLEET


def test_a_deleted_task_is_over_at_once(site: Site, start: Callable[..., str]) -> None:
    """Deleting a task ends its session: from then on nothing is permitted, and its pod goes."""
    name = start(KEEP_ASKING)
    tasks.running(site, name)
    uid = tasks.get(site, name)["metadata"]["uid"]
    wait.until(lambda: ledger.count(site, uid, "outcome.reported"), "the task acts", 120)
    site.kubectl("delete", "agenttask", name, "-n", AGENTS, "--wait=false")
    deleted = time.time()

    wait.until(lambda: ledger.count(site, uid, "task.ended"), "the ledger knows of the end", 120)
    tasks.gone(site, name)
    events = ledger.events(site, uid)
    yes = [e for e in events if e["event"] == "action.permitted"]
    (end,) = [e for e in events if e["event"] == "task.ended"]

    assert [e["seq"] for e in yes if e["seq"] > end["seq"]] == []
    assert yes[-1]["at"] / 1000 <= deleted + SECONDS
