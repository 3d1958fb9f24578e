"""Upgrade, roll-back, an upgrade that fails, a node that drains, and taking it all away.

They restart or remove what other tests use, so they run only when asked for: `just lifecycle`.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from apiclient import Api

from devcluster import commands, tools, wait
from devcluster.commands import CommandError
from testbed import install, ledger, node, tasks
from testbed.site import AGENTS, CODE, SYSTEM, Site

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.environ.get("DOORWARD_TEST_RESTART") != "yes", reason="restarts Doorward"),
    pytest.mark.timeout(900),
]

LEDGER = "sqlite:////var/lib/doorward/ledger.db"
SLEEP = "import threading; threading.Event().wait(600)"
COMMENT = """
import json, os, threading, urllib.request
while not os.path.exists("/workspace/go"): threading.Event().wait(0.1)
url = os.environ["DOORWARD_URL"] + "/v1/actions/code/issue.comment"
body = json.dumps({"owner": "acme", "repo": "web", "number": 4, "body": "%s"}).encode()
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
print(json.dumps(json.load(urllib.request.urlopen(request, timeout=120))["receipt"]))
"""
OURS = (
    "validatingwebhookconfigurations,mutatingwebhookconfigurations,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)


@pytest.fixture
def put_back(local: Site) -> Iterator[None]:
    """As other tests expect it, whatever happened."""
    yield
    install.mend(local)
    install.doorward(local)


def workspace_size(pod: dict[str, Any]) -> str:
    """What the render settings of the release say."""
    (found,) = [volume["emptyDir"] for volume in pod["spec"]["volumes"] if volume["name"] == "workspace"]
    return str(found["sizeLimit"])


def opened(site: Site, uid: str) -> int:
    """How many sessions a task has had."""
    return ledger.count(site, uid, "session.opened")


def kill_door(site: Site, name: str) -> None:
    """End the sidecar of a task and wait until the next one has its session."""
    pod, uid = tasks.running(site, name), tasks.get(site, name)["metadata"]["uid"]
    before = opened(site, uid)
    node.kill(site, pod, "door")
    wait.until(lambda: opened(site, uid) > before, "another session", 120)
    tasks.running(site, name)


def act(site: Site, name: str) -> None:
    """Let a waiting agent do its one action, to the end of the task."""
    (node.workspace(tasks.pod_of(site, name)) / "go").touch()
    tasks.finished(site, name)


def comments(site: Site, body: str) -> int:
    """How often it was said."""
    found = site.forge()("GET", "/repos/acme/web/issues/4/comments")
    return len([comment for comment in found if comment["body"] == body])


def test_tasks_outlive_an_upgrade_and_a_roll_back(
    local: Site, start: Callable[..., str], put_back: None
) -> None:
    """Each with the settings that it was made with, also when its door starts anew; new ones get the new."""
    said = [f"made {when} the upgrade {uuid.uuid4().hex}" for when in ("before", "after")]
    old = start(COMMENT % said[0])
    sizes = [workspace_size(tasks.running(local, old))]
    install.doorward(local, render={"workspaceSize": "768Mi"})
    kill_door(local, old)
    new = start(COMMENT % said[1])
    sizes.append(workspace_size(tasks.running(local, new)))
    install.rollback(local)
    kill_door(local, old)
    kill_door(local, new)
    last = start("print('made after the roll-back')")
    sizes.append(workspace_size(tasks.pod_of(local, last)))
    for name in (old, new):
        act(local, name)
    tasks.finished(local, last)

    assert sizes == ["1Gi", "768Mi", "1Gi"]
    assert tasks.said(local, last).strip() == "made after the roll-back"
    assert [comments(local, words) for words in said] == [1, 1]


def test_an_upgrade_that_never_got_ready_is_no_obstacle(
    local: Site, start: Callable[..., str], put_back: None
) -> None:
    """The next upgrade or a roll-back replaces the broker that cannot start; no pod is deleted by hand."""
    uids: list[str] = []
    for repair in (
        partial(install.doorward, local, broker=ledger_at(LEDGER)),
        partial(install.rollback, local),
    ):
        with pytest.raises(CommandError, match="upgrade --install doorward"):
            install.doorward(local, seconds=20, broker=ledger_at("nonsense://"))
        uids.append(broker(local))
        repair()
        uids.append(broker(local))
    after = start("print('back')")
    tasks.finished(local, after)

    assert len(set(uids)) == len(uids)
    assert tasks.said(local, after).strip() == "back"


def ledger_at(url: str) -> dict[str, Any]:
    """Values of a broker that keeps its ledger there."""
    return {"env": {"DOORWARD_LEDGER_URL": url}}


def broker(site: Site) -> str:
    """The uid of the only broker, once there is one."""

    def only() -> dict[str, Any] | None:
        found = install.pods(site, "broker")
        return found[0] if len(found) == 1 else None

    return str(wait.until(only, "one broker", 60)["metadata"]["uid"])


def asked(api: Api, site: Site) -> str:
    """What comes of a new task while replicas move: the API server asks both webhooks."""
    agent = {"image": install.agent_image(site), "command": ["true"]}
    path = f"/apis/doorward.dev/v1alpha1/namespaces/{AGENTS}/agenttasks?dryRun=All"
    answer = api("POST", path, tasks.manifest("asked", "helper", agent))
    return "admitted" if answer.status == 201 else f"{answer.status}: {answer.message}"


def ready(site: Site) -> set[str]:
    """Replicas of admission that answer."""
    found = install.pods(site, "admission")
    return {str(pod["metadata"]["uid"]) for pod in found if _answers(pod)}


def _answers(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any((item["type"], item["status"]) == ("Ready", "True") for item in conditions)


def test_a_drain_moves_admission_one_by_one(local: Site, tmp_path: Path) -> None:
    """While the only node is closed the second replica stays; once there is room it goes, too.

    Every task that is asked for meanwhile gets its answer.
    """
    api, answers = Api(Path(local.facts["KUBECONFIG"]), tmp_path), set[str]()
    before = ready(local)

    def once(condition: Callable[[], bool]) -> Callable[[], bool]:
        def look() -> bool:
            answers.add(asked(api, local))
            return condition()

        return look

    words = ("drain", "doorward", "--pod-selector=app.kubernetes.io/component=admission", "--timeout=240s")
    with subprocess.Popen(
        [tools.path("kubectl"), *words],
        env=local.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as drain:
        try:
            wait.until(once(lambda: len(ready(local)) == 1), "one replica to be evicted", 90)
            wait.until(once(lambda: "disruption budget" in _events(drain)), "the budget to hold", 60)
            held = ready(local)
        finally:
            local.kubectl("uncordon", "doorward")
        wait.until(once(lambda: drain.poll() is not None), "the drain to end", 180)
    wait.until(once(lambda: len(ready(local) - before) == 2), "two new replicas", 120)
    api.close()

    assert (drain.returncode, len(held), held <= before) == (0, 1, True)
    assert answers == {"admitted"}


def test_a_drain_ends_a_task_and_no_pod_takes_its_place(local: Site, start: Callable[..., str]) -> None:
    """One task, one run: the drain is not refused, the task says that it was evicted, and that is all."""
    name = start(SLEEP)
    pod = tasks.running(local, name)["metadata"]["name"]
    labels = local.kubectl.get("pod", pod, "-n", AGENTS)["metadata"]["labels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    words = ("drain", "doorward", f"--pod-selector={selector}", "--delete-emptydir-data", "--timeout=120s")
    try:
        commands.run(tools.path("kubectl"), *words, env=local.environ())
    finally:
        local.kubectl("uncordon", "doorward")
    ended = tasks.finished(local, name)
    why = {each["type"]: each["reason"] for each in ended["status"]["conditions"]}
    found = local.kubectl.get("pods", "-n", AGENTS)["items"]

    assert (ended["status"]["phase"], why["Complete"]) == ("Failed", "Evicted")
    assert [each["metadata"]["name"] for each in found if each["metadata"]["name"].startswith(name)] == []


def _events(drain: subprocess.Popen[str]) -> str:
    """One more line of what the drain says."""
    return drain.stdout.readline() if drain.stdout else ""


def test_uninstalling_leaves_nothing_that_blocks(
    local: Site, start: Callable[..., str], put_back: None
) -> None:
    """No guard stays without its server; what was enrolled can end; all of it comes back."""
    leaving = {"name": "leaving", "create": True}
    install.doorward(local, enrolled=[{"name": AGENTS, "create": True}, leaving])
    name = start(SLEEP)
    tasks.running(local, name)
    for release, namespace in (("code", CODE), ("doorward", SYSTEM)):
        install.uninstall(local, release, namespace)
    guards = local.kubectl("get", OURS, "-l", "app.kubernetes.io/name=doorward", "-o", "name")
    local.kubectl("delete", "namespace", "leaving", "--wait=false")
    wait.until(lambda: "leaving" not in local.kubectl("get", "namespaces", "-o", "name"), "its end", 90)
    install.restart(local, "deployment/coredns", "kube-system")
    ordinary = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ordinary", "namespace": CODE},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "main", "image": install.agent_image(local), "command": ["python3", "-c", "1"]}
            ],
        },
    }
    local.kubectl.apply(ordinary)
    pod = ("pod", "ordinary", "-n", CODE)
    wait.until(lambda: local.kubectl.get(*pod)["status"]["phase"] == "Succeeded", "an ordinary pod", 90)
    local.kubectl("delete", *pod)
    kept = tasks.get(local, name)
    tasks.remove(local, name)
    install.doorward(local)
    after = start("print('back')")
    tasks.finished(local, after, seconds=240)

    assert guards == ""
    assert kept["metadata"]["name"] == name
    assert tasks.said(local, after).strip() == "back"
