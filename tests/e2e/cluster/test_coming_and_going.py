"""Up and down, also after being killed. They take the shared cluster away, so they run only when asked for.

DOORWARD_TEST_DESTROY=yes .venv/bin/pytest tests/e2e/cluster/test_coming_and_going.py
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from devcluster import cgroups
from devcluster.commands import run
from devcluster.local.remains import mounts
from devcluster.settings import HACK, NAME, layout

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.environ.get("DOORWARD_TEST_DESTROY") != "yes", reason="takes the cluster away"),
]

COMMAND = HACK / "cluster"


@pytest.mark.parametrize("seconds", [0.5, 2, 4, 8])
def test_up_succeeds_after_an_up_that_was_killed(seconds: float) -> None:
    """Whatever half an `up` left is cleaned away by the next, which then is healthy within a minute."""
    run(COMMAND, "down")
    with subprocess.Popen([COMMAND, "up"], start_new_session=True) as half:
        with contextlib.suppress(subprocess.TimeoutExpired):
            half.wait(seconds)
        os.killpg(half.pid, signal.SIGKILL)
    subprocess.run([COMMAND, "up"], check=True, timeout=60)

    assert run(COMMAND, "status")


def test_down_leaves_nothing() -> None:
    """No process, mount, namespace, link, control group or file."""
    run(COMMAND, "up")
    run(COMMAND, "down")
    places = layout()

    assert cgroups.members() == []
    assert mounts(places) == []
    assert NAME not in run("ip", "netns") + run("ip", "link")
    assert [str(path) for path in cgroups.ROOT.glob(f"*/{NAME}")] == []
    assert [places.run.exists(), places.state.exists()] == [False, False]
    assert list(Path("/var/lib/cni/results").glob(f"{NAME}-*")) == []
