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

LONGEST = 1200
"""Seconds after which a test hangs: what is waited for has its own deadline, generous for busy machines."""

Start = Callable[..., str]
"""Starts a task and returns its name: `start(program, role=..., input=...)`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that its deadlines need, unless it says how much."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST))


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
    """A running task whose agent does nothing for an hour."""
    name = start_shared("pause(3600)", deadline="1h")
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
    """The example image running a program of ours: a file of tests/e2e/agents or source text.

    Before it stands asking.py, so that all of them ask again where they were not answered yet.
    """
    source = (PROGRAMS / program).read_text() if program.endswith(".py") else program
    source = (PROGRAMS / "asking.py").read_text() + source
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
