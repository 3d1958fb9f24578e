"""What the sidecar holds stays in the sidecar."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from testbed import tasks
from testbed.site import Site

pytestmark = pytest.mark.e2e

MEANS = [
    "path",
    "proc",
    "ptrace",
    "shared_memory",
    "shared_volume",
    "environment",
    "remount",
]


@pytest.fixture(scope="module")
def answers(site: Site, start_shared: Callable[..., str]) -> dict[str, object]:
    name = start_shared("snoop.py")
    tasks.finished(site, name)
    found: dict[str, object] = json.loads(tasks.said(site, name).splitlines()[-1])
    return found


@pytest.mark.parametrize("means", MEANS)
def test_the_token_cannot_be_read(answers: dict[str, object], means: str) -> None:
    """Path, /proc, ptrace, shared memory, shared volumes, environment, a new mount: each finds nothing."""
    assert answers[means] == []
