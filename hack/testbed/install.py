"""Doorward and one connector on a cluster, by the same charts and commands that users have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from devcluster import commands, tools, wait
from devcluster.settings import HACK
from imagebuild import build
from imagebuild.build import Image
from imagebuild.parts import PARTS
from testbed import node
from testbed.site import AGENTS, CODE, SYSTEM, Site

CHARTS = HACK.parent / "charts"
PROGRAMS = HACK.parent / "tests/e2e/agents"
CONNECTOR = "doorward-connector-code"
TENANT = {
    "namespaces": {"selector": {"matchLabels": {"kubernetes.io/metadata.name": AGENTS}}},
    "resources": {"repository": ["acme/*"]},
    "effects": ["read", "draft"],
}


def doorward(site: Site, seconds: int = 240, **changes: Any) -> None:
    """Install or upgrade both releases and wait until every part is ready.

    `changes` are further values of the chart: a mapping is laid over what a part has here.
    Raises `CommandError` when it is not ready within `seconds`.
    """
    values: dict[str, Any] = {
        name: {"image": _image(name)} for name in ("operator", "admission", "broker", "door")
    }
    values["enrolled"] = [{"name": AGENTS, "create": True}]
    for name, change in changes.items():
        values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
    _upgrade(site, "doorward", SYSTEM, values, seconds=seconds)
    _upstream(site)
    _upgrade(site, "code", CODE, _connector_values(site), chart="doorward-connector")
    operator_settled(site)


def rollback(site: Site, *revision: str) -> None:
    """Take the release back to the revision before, or to one by number, as its owner would."""
    _helm(site, "rollback", "doorward", *revision, "--namespace", SYSTEM, "--wait", "--timeout", "240s")
    operator_settled(site)


def mend(site: Site) -> None:
    """Take the release back to where it was deployed, if something ended half-way since."""
    history = json.loads(_helm(site, "history", "doorward", "--namespace", SYSTEM, "--output", "json"))
    if history[-1]["status"] != "deployed":
        rollback(site, *(str(each["revision"]) for each in history if each["status"] == "deployed"))


def uninstall(site: Site, release: str, namespace: str) -> None:
    """Take a release away, and wait until its objects are gone."""
    _helm(site, "uninstall", release, "--namespace", namespace, "--wait", "--timeout", "120s")


def agent_image(_site: Site) -> str:
    """The example agent's image."""
    return _loaded()["agent"].reference


def roles(site: Site) -> None:
    """The role that most tests run tasks of."""
    rules = [
        _rule("read", ["issue.query", "issue.read", "file.read"], {"perMinute": 600}),
        _rule("comment", ["issue.comment"], {"perTask": 1}),
    ]
    image = agent_image(site)
    site.kubectl.apply(
        {
            "apiVersion": "doorward.dev/v1alpha1",
            "kind": "AgentRole",
            "metadata": {"name": "helper", "namespace": AGENTS},
            "spec": {"agent": {"images": [image]}, "rules": rules},
        }
    )


def pods(site: Site, component: str, namespace: str = SYSTEM) -> list[dict[str, Any]]:
    """Running pods of one of our parts."""
    selector = f"app.kubernetes.io/component={component}"
    found = site.kubectl.get("pods", "-n", namespace, "-l", selector)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def connector_pod(site: Site) -> dict[str, Any]:
    """The pod of the connector `code`."""
    return pods(site, "connector", CODE)[0]


def connector_ip(site: Site) -> str:
    """Address of the connector's Service."""
    return str(site.kubectl.get("service", CONNECTOR, "-n", CODE)["spec"]["clusterIP"])


def restart(site: Site, workload: str, namespace: str = SYSTEM) -> None:
    """Restart a workload and wait until the new pods are ready."""
    site.kubectl("rollout", "restart", workload, "-n", namespace)
    _rolled(site, workload, namespace)


def operator_settled(site: Site) -> None:
    """Wait until one operator leads and all of them are ready."""
    _rolled(site, "deployment/doorward-operator", SYSTEM)

    def led() -> bool:
        lease = site.kubectl.get("lease", "doorward-operator", "-n", SYSTEM)["spec"]
        names = {pod["metadata"]["name"] for pod in pods(site, "operator")}
        return any(lease.get("holderIdentity", "").startswith(name) for name in names)

    wait.until(led, "an operator leads", 240)


@contextmanager
def stopped(site: Site, workload: str, namespace: str) -> Iterator[None]:
    """The workload has no pods inside the block and is ready again after it."""
    kind, name = workload.split("/")
    replicas = site.kubectl.get(kind, name, "-n", namespace)["spec"]["replicas"]
    site.kubectl("scale", workload, "-n", namespace, "--replicas=0")
    selector = site.kubectl.get(kind, name, "-n", namespace)["spec"]["selector"]["matchLabels"]
    labels = ",".join(f"{key}={value}" for key, value in selector.items())

    def gone() -> bool:
        return not site.kubectl.get("pods", "-n", namespace, "-l", labels)["items"]

    wait.until(gone, f"{workload} has no pods", 240)
    try:
        yield
    finally:
        site.kubectl("scale", workload, "-n", namespace, f"--replicas={replicas}")
        _rolled(site, workload, namespace)


def broker_stopped(site: Site) -> AbstractContextManager[None]:
    """No broker inside the block."""
    return stopped(site, "statefulset/doorward-broker", SYSTEM)


def connector_stopped(site: Site) -> AbstractContextManager[None]:
    """No connector inside the block."""
    return stopped(site, f"deployment/{CONNECTOR}", CODE)


@contextmanager
def ledger_read_only(site: Site) -> Iterator[None]:
    """Every write to the ledger's files fails inside the block, also through files that are open."""
    folder = node.claimed(site, "ledger-doorward-broker-0", SYSTEM)
    # Not the shared-memory index: a write to a page of an immutable file is SIGBUS, not an error.
    files = [str(folder / name) for name in ("ledger.db", "ledger.db-wal")]
    commands.run("chattr", "+i", *files)
    try:
        yield
    finally:
        commands.run("chattr", "-i", *files)


@contextmanager
def forge_frozen(_site: Site) -> Iterator[None]:
    """The forge accepts connections and answers nothing inside the block."""
    pids = commands.run("pgrep", "-x", "gitea").split()
    commands.run("kill", "-STOP", *pids)
    try:
        yield
    finally:
        commands.run("kill", "-CONT", *pids)


@cache
def _loaded() -> Mapping[str, Image]:
    """Every image of this checkout, built and on the node: what is installed is what was loaded."""
    images = {each.name: build.build(each) for each in PARTS}
    commands.run(HACK / "cluster", "load", *(image.archive for image in images.values()))
    return images


def _image(name: str) -> dict[str, str]:
    image = _loaded()[name]
    return {"repository": image.repository, "tag": image.tag}


def _rule(name: str, actions: list[str], limits: dict[str, int]) -> dict[str, Any]:
    resources = {"repository": ["acme/web"]}
    return {"name": name, "connector": "code", "actions": actions, "resources": resources, "limits": limits}


def _connector_values(site: Site) -> dict[str, Any]:
    return {
        "image": _image("connector"),
        "name": "code",
        "upstream": {
            "url": site.facts["GITEA_URL"],
            "ca": {"configMap": "forge-ca"},
            "cidrs": [f"{site.facts['HOST_IP']}/32"],
            "ports": [int(site.facts["GITEA_URL"].rsplit(":", 1)[1])],
        },
        "credential": {"existingSecret": "forge-author"},
        "connector": {"create": True, "ci": "isolated", "tenants": [TENANT]},
    }


def _upstream(site: Site) -> None:
    """What the platform team gives the connector: the author's token, and who vouches for the forge."""
    token = Path(site.facts["GITEA_TOKEN_AUTHOR_BOT"]).read_text().strip()
    authority = Path(site.facts["GITEA_CA"]).read_text()
    meta = {"namespace": CODE}
    site.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CODE}})
    site.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "forge-author", **meta},
            "stringData": {"token": token},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "forge-ca", **meta},
            "data": {"ca.crt": authority},
        },
    )


def _rolled(site: Site, workload: str, namespace: str) -> None:
    kind, name = workload.split("/")

    def ready() -> bool:
        found = site.kubectl.get(kind, name, "-n", namespace)
        wanted, status = found["spec"]["replicas"], found["status"]
        current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        updated = status.get("updatedReplicas", 0) == wanted == status.get("replicas", 0)
        return bool(current and updated and status.get("readyReplicas", 0) == wanted)

    wait.until(ready, f"{workload} is rolled out", 300, every=0.5)


def _upgrade(
    site: Site,
    release: str,
    namespace: str,
    values: dict[str, Any],
    *,
    chart: str = "doorward",
    seconds: int = 240,
) -> None:
    words = ("upgrade", "--install", release, str(CHARTS / chart), "--namespace", namespace)
    waiting = ("--create-namespace", "--wait", "--timeout", f"{seconds}s", "--values", "-")
    try:
        _helm(site, *words, *waiting, stdin=yaml.safe_dump(values))
    except commands.CommandError as error:
        raise commands.CommandError(f"{error}\n{_events(site, namespace)}") from error


def _helm(site: Site, verb: str, *words: str, stdin: str | None = None) -> str:
    return commands.run(tools.path("helm"), verb, *words, stdin=stdin, env=site.environ())


def _events(site: Site, namespace: str) -> str:
    """What went wrong lately, for whoever has to find out why an install did not come up."""
    pods_said = site.kubectl("get", "pods", "-n", namespace, "-o", "wide")
    events = site.kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
    return pods_said + "\n".join(events.splitlines()[-15:])
