"""Fixtures for tests of the development cluster itself."""

import os
import uuid
from collections.abc import Iterator

import pytest

from devcluster import tools
from devcluster.cluster import read_facts
from devcluster.kubectl import Kubectl
from devcluster.local import images
from devcluster.settings import layout
from devcluster.space import PROBE, Space


@pytest.fixture(scope="session")
def facts() -> dict[str, str]:
    """What `hack/cluster env` prints; these tests are about the local provider."""
    found = read_facts(layout())
    if found.get("PROVIDER") != "local":
        pytest.skip("needs the local provider: run hack/cluster up")
    return found


@pytest.fixture(scope="session")
def kubectl(facts: dict[str, str]) -> Kubectl:
    """An administrator, with the probe's image in the node."""
    places = layout()
    archive = images.archive(tools.path("probe"), PROBE, places.state / "probe.tar")
    os.utime(archive, (0, 0))  # the same content again is not loaded again
    images.load(places, [archive])
    return Kubectl(places.kubeconfig)


@pytest.fixture
def space(kubectl: Kubectl) -> Iterator[Space]:
    """A namespace of the test's own, removed afterwards without waiting for it."""
    made = Space(kubectl, f"lab-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", made.name)
    yield made
    kubectl("delete", "namespace", made.name, "--wait=false")
