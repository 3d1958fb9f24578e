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
import os, urllib.request
print(urllib.request.urlopen(os.environ["DOORWARD_URL"] + "/via/code/repos/acme/web/issues/1").status)
"""
KEEP_ASKING = """
import json, os, threading, urllib.error, urllib.request
while True:
    try:
        urllib.request.urlopen(os.environ["DOORWARD_URL"] + "/via/code/repos/acme/web/issues/1").read()
    except urllib.error.HTTPError as error:
        print(json.dumps(json.load(error)), flush=True)
    threading.Event().wait(0.1)
"""


def test_many_at_once(site: Site, start: Callable[..., str]) -> None:
    """Tasks applied together all finish; each had one pod and acted once."""
    names = [start(READ) for _ in range(FLEET)]
    ended = [tasks.finished(site, name, seconds=60 + 9 * FLEET) for name in names]
    uids = [task["metadata"]["uid"] for task in ended]
    reads = [[e for e in ledger.events(site, uid) if e["event"] == "outcome.reported"] for uid in uids]
    pods = [
        pod["metadata"]["annotations"]["doorward.dev/task-uid"]
        for pod in site.kubectl.get("pods", "-n", AGENTS)["items"]
    ]

    assert [task["status"]["phase"] for task in ended] == [ended[0]["status"]["phase"]] * FLEET
    assert [tasks.said(site, name).strip() for name in names] == ["200"] * FLEET
    assert [len(each) for each in reads] == [1] * FLEET
    assert [pods.count(uid) for uid in uids] == [1] * FLEET


def test_a_deleted_task_is_over_at_once(site: Site, start: Callable[..., str]) -> None:
    """Deleting a task ends its session within a second of the API's answer, and its pod goes."""
    name = start(KEEP_ASKING)
    tasks.running(site, name)
    uid = tasks.get(site, name)["metadata"]["uid"]
    wait.until(lambda: ledger.count(site, uid, "outcome.reported"), "the task acts", 30)
    site.kubectl("delete", "agenttask", name, "-n", AGENTS, "--wait=false")
    deleted = time.time()

    tasks.gone(site, name)
    events = ledger.events(site, uid)
    last_yes = max(e["at"] / 1000 for e in events if e["event"] == "action.permitted")

    assert any(e["event"] == "task.ended" for e in events)
    assert last_yes <= deleted + 1
