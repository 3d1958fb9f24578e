"""What pods are rendered with is written down before it is replaced, by one account and by nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl
from devcluster.wait import until
from doorward.errors import ConfigError
from doorward.kube import Client
from doorward.render import History
from doorward.render.history import CONFIG_MAP, KEY
from doorward_webhooks.certificates.metrics import Metrics
from doorward_webhooks.certificates.process import Rotation
from doorward_webhooks.certificates.recorder import Recorder

SYSTEM = "doorward-system"
CERTIFICATES = f"--as=system:serviceaccount:{SYSTEM}:doorward-certificates"
ALONE = "written down by doorward-certificates alone"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OTHER = ("--set", "door.image.tag=next")


@pytest.fixture
async def recorder(client: Client, rotation: Callable[[], Rotation], cluster: Any) -> Recorder:
    """The process once it has issued everything, on the chart as it comes."""
    cluster.install()
    await rotation().round(datetime.now(UTC))
    return Recorder(client, SYSTEM, Metrics(CollectorRegistry()))


def images(kubectl: Kubectl) -> list[str]:
    """Images of the door that are remembered, the current one first."""
    text = kubectl.get("configmap", CONFIG_MAP, "-n", SYSTEM).get("data", {}).get(KEY, "")
    return [str(entry.render["doorImage"]).rpartition(":")[2] for entry in History.parse(text).entries]


async def test_an_upgrade_leaves_its_settings_behind(recorder: Recorder, cluster: Any) -> None:
    """Both are there after it, helm takes nothing out, and a day later they are forgotten."""
    first = [await recorder.round(NOW), await recorder.round(NOW)]
    cluster.install(*OTHER)
    kept = images(cluster.kubectl)
    second = [await recorder.round(NOW), await recorder.round(NOW)]

    assert (first, second) == ([True, False], [True, False])
    assert (kept, images(cluster.kubectl)) == (["0.1.0"], ["next", "0.1.0"])
    assert await recorder.round(NOW + timedelta(hours=26))
    assert images(cluster.kubectl) == ["next"]


async def test_without_an_authority_there_is_nothing_to_write(client: Client, cluster: Any) -> None:
    """Pods cannot be rendered yet either."""
    with pytest.raises(ConfigError, match="holds no certificate"):
        await Recorder(client, SYSTEM, Metrics(CollectorRegistry())).round(NOW)

    assert images(cluster.kubectl) == []


def refused(kubectl: Kubectl, *argv: str, stdin: str | None = None) -> str:
    """What an administrator is told; empty when nothing was refused."""
    try:
        kubectl(*argv, "-n", SYSTEM, "--dry-run=server", stdin=stdin)
    except CommandError as error:
        return str(error)
    return ""


def test_nobody_else_writes_the_history(cluster: Any) -> None:
    """Not even a cluster administrator by accident: what is in it is what pods may look like."""
    kubectl = cluster.kubectl
    change = ("patch", "configmap", CONFIG_MAP, "--type=merge", "-p")
    data, binary = json.dumps({"data": {KEY: "x"}}), json.dumps({"binaryData": {KEY: "eA=="}})
    until(lambda: ALONE in refused(kubectl, *change, data), "the policy to be in force")
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}}

    assert ALONE in refused(kubectl, *change, binary)
    full = json.dumps({**made, "data": {KEY: "x"}})
    assert ALONE in refused(kubectl, "replace", "-f", "-", stdin=full)
    assert refused(kubectl, "replace", "-f", "-", CERTIFICATES, stdin=full) == ""
    assert refused(kubectl, "label", "configmap", CONFIG_MAP, "a=b") == ""
    kubectl("delete", "configmap", CONFIG_MAP, "-n", SYSTEM)
    assert ALONE in refused(kubectl, "create", "-f", "-", stdin=full)
    assert refused(kubectl, "create", "-f", "-", stdin=json.dumps(made)) == ""
