"""One look of the controller at objects that were there before, without any watch to tell of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from devcluster.api import ControlPlane
from devcluster.kubectl import Kubectl
from doorward.kube import Client, EventsRecorder, connect
from doorward.render import RenderSettings
from doorward_operator.budget import Bucket
from doorward_operator.controller import Controller, Parts
from doorward_operator.metrics import Metrics
from doorward_operator.workqueue import WorkQueue
from doorward_operator.world import ROLE, Key, World
from doorward_operator.writer import Writer

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@dataclass(frozen=True)
class Leads:
    """A term that began before anybody counted."""

    term_started: float | None = None


def controller(client: Client, world: World) -> Controller:
    """A controller that leads."""
    settings = RenderSettings.load(b'{"doorImage": "door:1"}', ca_pem=CA, broker_ip="10.96.0.10")
    return Controller(
        Parts(
            client=client,
            world=world,
            queue=WorkQueue(time.monotonic),
            writer=Writer(client, lambda: True, Bucket(1000.0, 1000.0)),
            events=EventsRecorder(client, "doorward.dev/operator", "one"),
            metrics=Metrics(),
            render=lambda: settings,
            term=Leads(),
        )
    )


async def test_an_account_that_nobody_told_of_is_emptied_at_once(
    place: Any, kubectl: Kubectl, control_plane: ControlPlane
) -> None:
    """It has no label of ours, so no watch shows it; applying shows it, and brings no news of it."""
    world, name = World(), {"name": "doorward-role-fixer", "namespace": place.namespace}
    cloud = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**name, "annotations": cloud}}
    kubectl.apply({**account, "secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "registry"}]})
    world.namespaces.put(kubectl.get("namespace", place.namespace))
    world.connectors.put(kubectl.get("connector", "code"))
    world.roles.put(place.get("agentrole", "fixer"))
    async with connect(str(control_plane.kubeconfig)) as client:
        await controller(client, world).handle(Key(ROLE, place.namespace, "fixer"))
    found = place.get("serviceaccount", "doorward-role-fixer")

    assert "annotations" not in found["metadata"]
    assert {"secrets", "imagePullSecrets"}.isdisjoint(found)
