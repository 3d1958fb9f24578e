"""Nobody gets into an agent's pod, nothing with a secret gets in, and an outage holds up nobody else."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mutator import mutating

from devcluster import wait
from devcluster.commands import CommandError
from testbed import install, ledger, outside, tasks
from testbed.site import AGENTS, SYSTEM, Site

pytestmark = pytest.mark.e2e

OPERATOR = "system:serviceaccount:doorward-system:doorward-operator"
EDITOR = "test-editor"
SLEEP = "pause(600)"
READ = """
print(ask("GET", "/via/code/repos/acme/web/issues/1")[0])
"""
CLOSED = "is closed in this namespace: nobody enters a task pod"
NO_RIGHT = 'User "test-editor" cannot'
WAYS_IN: Mapping[str, tuple[list[str], str, str]] = {
    "debug": (
        ["debug", "POD", "--image=busybox", "--target=agent", "--profile=restricted"],
        f"pods/ephemeralcontainers {CLOSED}",
        NO_RIGHT,
    ),
    "exec": (["exec", "POD", "-c", "agent", "--", "id"], f"pods/exec {CLOSED}", ""),
    "attach": (["attach", "POD", "-c", "agent"], f"pods/attach {CLOSED}", ""),
    "port-forward": (["port-forward", "POD", "0:8470"], f"pods/portforward {CLOSED}", ""),
    "create token": (
        ["create", "token", "doorward-role-helper"],
        "tokens of accounts in this namespace are made by kubelets",
        "",
    ),
    "label": (
        ["label", "pod", "POD", "doorward.dev/role=other", "--overwrite"],
        "the labels of a task pod never change",
        "",
    ),
    "set image": (["set", "image", "pod/POD", "agent=busybox"], "spec: a task pod is never changed", ""),
    "edit networkpolicy": (
        ["patch", "networkpolicy", "doorward-default-deny", "--type=merge", "-p", '{"spec":{"egress":[{}]}}'],
        "NetworkPolicies in an enrolled namespace are made by Doorward's operator",
        "",
    ),
    "label namespace": (
        ["label", "namespace", AGENTS, "doorward.dev/enforced-"],
        "the label doorward.dev/enforced of an enrolled namespace stays",
        NO_RIGHT,
    ),
}
"""What is tried, what an administrator is told, and what an editor of the namespace is told if it differs."""


@pytest.fixture(scope="module")
def editor(site: Site) -> Iterator[str]:
    """Somebody with the ClusterRole `edit` in the enrolled namespace."""
    rbac = "rbac.authorization.k8s.io"
    site.kubectl.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": EDITOR, "namespace": AGENTS},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": EDITOR}],
        }
    )
    asked = ("auth", "can-i", "create", "pods/exec", "-n", AGENTS, f"--as={EDITOR}")
    wait.until(lambda: "yes" in site.kubectl(*asked), "the API server to know the editor", 120)
    yield EDITOR
    site.kubectl("delete", "rolebinding", EDITOR, "-n", AGENTS)


def _refused(site: Site, *argv: str) -> str:
    """What kubectl prints when it is refused."""
    with pytest.raises(CommandError) as caught:
        site.kubectl(*argv)
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("who", ["administrator", "editor"])
def test_no_way_leads_into_a_running_pod(who: str, way: str, site: Site, sleeper: str, editor: str) -> None:
    """Each is refused with a sentence, whoever tries."""
    argv, told, told_editor = WAYS_IN[way]
    pod = tasks.pod_of(site, sleeper)["metadata"]["name"]
    acting = (f"--as={editor}",) if who == "editor" else ()
    said = _refused(site, *acting, "-n", AGENTS, *(word.replace("POD", pod) for word in argv))

    assert (told_editor if who == "editor" and told_editor else told) in said


def test_the_pod_and_the_namespace_are_what_they_were(site: Site, sleeper: str) -> None:
    """After all that, the agent still runs and nothing of it has changed."""
    pod = tasks.running(site, sleeper)

    assert pod["metadata"]["labels"]["doorward.dev/role"] == "helper"
    assert "ephemeralContainers" not in pod["spec"]
    assert site.kubectl.get("namespace", AGENTS)["metadata"]["labels"]["doorward.dev/enforced"] == "true"


def _plain(change: dict[str, Any] | None = None, container: dict[str, Any] | None = None) -> dict[str, Any]:
    """A careless pod without its Secret, changed."""
    pod = outside.pod_with_secret(AGENTS)
    del pod["spec"]["volumes"], pod["spec"]["containers"][0]["volumeMounts"]
    pod["spec"]["automountServiceAccountToken"] = False
    pod["spec"].update(change or {})
    pod["spec"]["containers"][0].update(container or {})
    return pod


def _projected(source: dict[str, Any]) -> dict[str, Any]:
    return {"volumes": [{"name": "key", "projected": {"sources": [source]}}]}


KEY = {"name": "deploy-key", "key": "key"}
TOKEN = {"audience": "sts.amazonaws.com", "expirationSeconds": 600, "path": "token"}
HOLDERS = {
    "secret volume": (
        _plain({"volumes": [{"name": "key", "secret": {"secretName": "deploy-key"}}]}),
        "spec.volumes[key].secret",
    ),
    "secretKeyRef": (
        _plain(container={"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": KEY}}]}),
        "env.valueFrom.secretKeyRef of container main",
    ),
    "secretRef": (
        _plain(container={"envFrom": [{"secretRef": {"name": "deploy-key"}}]}),
        "envFrom.secretRef of container main",
    ),
    "imagePullSecrets": (_plain({"imagePullSecrets": [{"name": "registry"}]}), "spec.imagePullSecrets"),
    "projected secret": (
        _plain(_projected({"secret": {"name": "deploy-key"}})),
        "spec.volumes[key].projected.sources.secret",
    ),
    "automounted token": (
        _plain({"automountServiceAccountToken": True}),
        "spec.automountServiceAccountToken",
    ),
    "token for others": (
        _plain(_projected({"serviceAccountToken": TOKEN})),
        "spec.volumes[key].projected.sources.serviceAccountToken",
    ),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_pod_that_holds_a_secret_is_refused_and_told_where(holder: str, site: Site) -> None:
    """The field is named, and so is what to do instead, when the pod is applied."""
    pod, field = HOLDERS[holder]
    said = tasks.refused(site, pod)

    assert field in said
    assert "Apply an AgentTask instead" in said


def test_a_deployment_with_a_secret_is_refused_and_told_where(site: Site) -> None:
    """It is the template that is refused, not a ReplicaSet minutes later that nobody looks at."""
    pod = outside.pod_with_secret(AGENTS)
    labels = {"app": "careless"}
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    said = tasks.refused(site, {**pod, "apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})

    assert "/spec/template/spec/volumes/0/secret: a Secret as files" in said


ADDITIONS = {
    "label": ("/metadata/labels/example.org~1mesh", "on", "/metadata/labels/example.org~1mesh"),
    "variable": (
        "/spec/containers/0/env/-",
        {"name": "HTTPS_PROXY", "value": "proxy.example:3128"},
        "/spec/containers/0/env",
    ),
    "volume": ("/spec/volumes/-", {"name": "mesh", "emptyDir": {}}, "/spec/volumes"),
}


def _running(site: Site, name: str) -> dict[str, Any]:
    """The condition `Running` of a task, empty while there is none."""
    conditions = tasks.get(site, name).get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == "Running"), {})


@pytest.mark.parametrize("addition", ADDITIONS)
def test_what_a_mutating_webhook_adds_keeps_the_task_from_running(
    addition: str, local: Site, start: Callable[..., str], tmp_path: Path
) -> None:
    """The task says which field is not its own; without the webhook the same task runs."""
    path, value, field = ADDITIONS[addition]
    patch = [{"op": "add", "path": path, "value": value}]
    with mutating(local.kubectl, tmp_path, patch, local.facts["HOST_IP"]):
        name = start("print('mine')")

        def told() -> str | None:
            found = _running(local, name)
            said = str(found.get("message", ""))
            return said if found.get("reason") == "PodRefused" and field in said else None

        wait.until(told, f"the task to say that {field} keeps it from running", 240)
        pods = local.kubectl.get("pods", "-n", AGENTS)["items"]

    owners = [p["metadata"].get("annotations", {}).get("doorward.dev/task") for p in pods]
    assert name not in owners
    tasks.finished(local, name)
    assert tasks.said(local, name).strip() == "mine"


def test_who_asked_is_in_the_task_and_in_the_ledger(site: Site, start: Callable[..., str]) -> None:
    """The author left the name out; the API server knew it, and every decision carries it."""
    me = json.loads(site.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    name = start(READ)
    task = tasks.finished(site, name)
    pinned = [e for e in ledger.events(site, task["metadata"]["uid"]) if e["event"] == "task.pinned"]

    assert task["spec"]["requestedBy"] == me
    assert [e["requestedBy"] for e in pinned] == [me]


def _as_made(pod: dict[str, Any]) -> dict[str, Any]:
    """A pod that the floor takes from the operator: a live one under another name, not yet placed."""
    metadata = {
        key: pod["metadata"][key] for key in ("namespace", "labels", "annotations", "ownerReferences")
    }
    spec = copy.deepcopy(pod["spec"])
    del spec["nodeName"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"copy-{uuid.uuid4().hex[:8]}", **metadata},
        "spec": spec,
    }


def test_an_outage_of_the_webhook_holds_up_nobody_else(site: Site, start: Callable[..., str]) -> None:
    """Enrolled namespaces take no pods, deletes pass, others roll, and `helm upgrade` ends it."""
    ending, staying = start(SLEEP), start(SLEEP)
    pods = {name: tasks.running(site, name) for name in (ending, staying)}
    with install.stopped(site, "deployment/doorward-admission", SYSTEM):
        made = json.dumps(_as_made(pods[ending]))
        with pytest.raises(CommandError, match="failed calling webhook"):
            site.kubectl(f"--as={OPERATOR}", "create", "-f", "-", stdin=made)
        agent = {"image": install.agent_image(site)}
        assert "failed calling webhook" in tasks.refused(site, tasks.manifest("none", "helper", agent))
        assert "only Doorward's operator makes pods" in tasks.refused(site, _plain())
        site.kubectl("delete", "pod", pods[staying]["metadata"]["name"], "-n", AGENTS)
        tasks.remove(site, ending)
        install.restart(site, "deployment/coredns", "kube-system")
        install.restart(site, "deployment/doorward-canary", SYSTEM)
        install.doorward(site)
        assert len(install.pods(site, "admission")) > 0
    after = start("print('back')")
    tasks.finished(site, after)

    assert tasks.said(site, after).strip() == "back"
