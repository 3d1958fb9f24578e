"""A real API server with the custom resources installed, one per run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.api import ControlPlane, start_control_plane
from devcluster.kubectl import Kubectl

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The API server; no controllers run. `kubeconfig` is that of a cluster administrator."""
    plane = start_control_plane(tmp_path_factory.mktemp("control-plane"))
    try:
        kubectl = Kubectl(plane.kubeconfig)
        kubectl("apply", "--server-side", "-f", str(CRDS))
        kubectl("wait", "--for=condition=Established", "--timeout=180s", "-f", str(CRDS))
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """Kubectl as a cluster administrator."""
    return Kubectl(control_plane.kubeconfig)
