"""Doorward installed on the cluster that is up, and tasks that clean up after themselves."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import install, tasks
from testbed import site as sites
from testbed.site import AGENTS, Site

PROGRAMS = Path(__file__).parent / "agents"
PIECE = 3500
"""Characters of a program that go into one argument; the API allows 4096."""

Start = Callable[..., str]
"""Starts a task and returns its name: `start(program, role=..., input=...)`."""


@pytest.fixture(scope="session")
def site() -> Site:
    found = sites.here()
    install.doorward(found)
    install.roles(found)
    return found


@pytest.fixture
def start(site: Site) -> Iterator[Start]:
    yield from _starter(site)


@pytest.fixture(scope="module")
def start_shared(site: Site) -> Iterator[Start]:
    yield from _starter(site)


@pytest.fixture(scope="module")
def sleeper(site: Site, start_shared: Start) -> str:
    """A running task whose agent does nothing for ten minutes."""
    name = start_shared("import threading; threading.Event().wait(600)")
    tasks.running(site, name)
    return name


@pytest.fixture
def local(site: Site) -> Site:
    """The site where the test is also root on the node; other providers lack that."""
    if site.provider != "local":
        pytest.skip(f"provider {site.provider} gives no access to the node's processes")
    return site


def _starter(site: Site) -> Iterator[Start]:
    started: list[str] = []

    def begin(program: str, role: str = "helper", **spec: Any) -> str:
        name = f"t-{uuid.uuid4().hex[:8]}"
        site.kubectl.apply(tasks.manifest(name, role, _python(site, program), **spec))
        started.append(name)
        return name

    yield begin
    for name in started:
        site.kubectl("delete", "agenttask", name, "-n", AGENTS, "--ignore-not-found", "--wait=false")


def _python(site: Site, program: str) -> dict[str, Any]:
    """The example image running a program of ours: a file of tests/e2e/agents or source text."""
    source = (PROGRAMS / program).read_text() if program.endswith(".py") else program
    pieces = [source[at : at + PIECE] for at in range(0, len(source), PIECE)]
    runner = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"  # not by itself: PID 1
        " exec(compile(''.join(sys.argv[1:]), 'agent', 'exec'))"
    )
    return {
        "image": install.agent_image(site),
        "command": ["python3", "-u", "-c", runner],
        "args": pieces,
    }
