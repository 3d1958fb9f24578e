"""The example agent runs as it is, against a real door and a real connector."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from doorward.door import canary
from doorward.errors import Code, Refusal

ROOT = Path(__file__).parents[3]
AGENT = ROOT / "examples/agent/agent.py"
README = ROOT / "README.md"


class OnceOnly:
    """The role of the example: its own repository, and one comment."""

    def __init__(self) -> None:
        self.comments = 0

    def __call__(self, action: str, args: Mapping[str, Any]) -> Refusal | None:
        """The no, if there is one."""
        if args["repo"] != "web":
            return Refusal(Code.OUT_OF_SCOPE, "another repository", allowed="acme/web")
        self.comments += action == "issue.comment"
        return Refusal(Code.LIMIT_EXCEEDED, "used up", rule="comment") if self.comments > 1 else None


async def _run(door: Any, probes: list[dict[str, Any]]) -> tuple[int, list[str]]:
    task = {"repository": "acme/web", "issue": 7, "otherRepository": "acme/vault", "probes": probes}
    door.door.session.task["input"] = task
    found = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", str(AGENT)],
        env={"DOORWARD_URL": door.url, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr == ""
    return found.returncode, found.stdout.splitlines()


@pytest.fixture
def guarded(door: Any) -> Any:
    door.behind.broker.policy = OnceOnly()
    return door


async def test_the_example_does_its_work_and_finds_its_limits(guarded: Any) -> None:
    """One comment, a second and another repository refused, nothing reached beside the door."""
    closed = [
        {"name": "neighbour", "host": "127.0.0.1", "port": 1, "protocol": "tcp"},
        {"name": "dns", "host": "127.0.0.1", "port": 1, "protocol": "udp"},
    ]

    code, lines = await _run(guarded, closed)

    assert (code, lines[-1]) == (0, "all as it should be")
    assert len(guarded.behind.forge.comments) == 1
    said = "\n".join(lines)
    assert "no: limit_exceeded" in said
    assert "no: out_of_scope" in said
    probes = [json.loads(line) for line in lines if line.startswith("{")]
    assert [probe["name"] for probe in probes] == ["neighbour", "dns", "service-account-token"]
    assert [probe["reached"] for probe in probes] == [False, False, False]


class AfterPeople(OnceOnly):
    """The same role, with a person who has to agree to the comment first."""

    def __init__(self, stands: list[dict[str, Any]]) -> None:
        super().__init__()
        self.stands = stands
        """What the broker still has to say of the Grant."""

    def __call__(self, action: str, args: Mapping[str, Any]) -> Refusal | None:
        """The no, if there is one."""
        if action == "issue.comment" and self.stands[0]["state"] == "pending":
            pending = {"expires": 2_000_000_000, "quorum": 1, "approvals": 0}
            return Refusal(
                Code.APPROVAL_PENDING, "ask people", members={"grant": "fix-1", "pending": pending}
            )
        return super().__call__(action, args)


async def test_the_example_waits_for_people(door: Any) -> None:
    """It asks how its request stands until somebody has answered, runs it, and goes on."""
    stands = [
        {"grant": "fix-1", "state": state, "approvals": 0, "quorum": 1, "expires": 2_000_000_000}
        for state in ("pending", "pending", "active")
    ]
    door.behind.broker.grants["fix-1"] = stands
    door.behind.broker.policy = AfterPeople(stands)

    code, lines = await _run(door, [])

    assert (code, lines[-1]) == (0, "all as it should be")
    assert "      waiting for people: Grant fix-1" in lines
    assert len(door.behind.forge.comments) == 1


class AwayFirst(OnceOnly):
    """The same role; the broker has no fresh news when it is asked for the first time."""

    away = True

    def __call__(self, action: str, args: Mapping[str, Any]) -> Refusal | None:
        """The no, if there is one."""
        away, self.away = self.away, False
        return Refusal(Code.UNAVAILABLE, "no fresh news") if away else super().__call__(action, args)


async def test_the_example_asks_again_where_nothing_was_decided(door: Any) -> None:
    """A part that is away for a moment is no reason to give up."""
    door.behind.broker.policy = AwayFirst()

    code, lines = await _run(door, [])

    assert (code, lines[-1]) == (0, "all as it should be")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_the_example_notices_an_open_way(guarded: Any, protocol: str) -> None:
    """Something that answers beside the door is said, and the exit code says it too."""
    async with canary.serving("127.0.0.1", 0) as port:
        way = {"name": "open", "host": "127.0.0.1", "port": port, "protocol": protocol}

        code, lines = await _run(guarded, [way])

    assert (code, lines[-1]) == (1, "1 things went wrong")


async def test_the_example_notices_what_should_have_been_refused(door: Any) -> None:
    """Without a limit the second comment goes through, and the agent says that it should not have."""
    code, lines = await _run(door, [])

    assert code == 1
    assert any(line.startswith("BAD comment a second time") for line in lines)


def _curls() -> list[list[str]]:
    lines = README.read_text().splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("curl ")]


@pytest.mark.parametrize("words", _curls(), ids=lambda words: words[0])
async def test_the_commands_of_the_readme_work_as_printed(door: Any, words: list[str]) -> None:
    """Each curl line is answered with a yes; what curl would send decides, not what was meant."""
    target = words[0].removeprefix("$DOORWARD_URL")
    body, headers = None, {}
    match words[1:]:
        case ["--json", text]:
            body, headers = text.encode(), {"Content-Type": "application/json"}
        case ["-d", text]:
            body, headers = text.encode(), {"Content-Type": "application/x-www-form-urlencoded"}

    reply = await door.ask("GET" if body is None else "POST", target, body, **headers)

    assert reply.status == 200, reply.document
