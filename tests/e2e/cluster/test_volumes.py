"""PersistentVolumeClaims on the development cluster."""

import pytest

from devcluster.space import Space
from devcluster.wait import until

pytestmark = pytest.mark.e2e

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def test_a_claim_without_a_class_binds_and_can_be_mounted(space: Space) -> None:
    """The default class provisions at once, and a pod that mounts the claim runs."""
    space.make("PersistentVolumeClaim", "data", CLAIM)
    space.pod("user", "serve", "tcp:8080", volumes={"/data": "data"})

    assert space.running("user")
    assert "Bound" == space.kubectl.get("-n", space.name, "pvc", "data")["status"]["phase"]  # noqa: SIM300


def test_a_deleted_claim_leaves_no_volume(space: Space) -> None:
    """The folder and its object go with the claim, so a thousand runs do not fill the disk."""
    space.make("PersistentVolumeClaim", "data", CLAIM)
    name = until(
        lambda: space.kubectl.get("-n", space.name, "pvc", "data")["spec"].get("volumeName"),
        "the claim to bind",
    )
    space.kubectl("-n", space.name, "delete", "pvc", "data")

    assert until(lambda: name not in space.kubectl("get", "pv", "-o", "name"), "the volume to go")
