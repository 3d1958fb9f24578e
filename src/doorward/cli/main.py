"""The command line: its words, its access to a cluster, and its exit codes."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from doorward import __version__
from doorward.api.v1alpha1 import Answer
from doorward.cli.enroll import enroll, unenroll
from doorward.cli.explain import explain
from doorward.cli.grants import answer, grants
from doorward.cli.place import Place, Refused
from doorward.cli.revoke import MEMBERS, revoke
from doorward.cli.status import status
from doorward.cli.thaw import thaw
from doorward.core import strictjson
from doorward.core.strictjson import JsonObject
from doorward.errors import ConfigError, Refusal
from doorward.kube import ActingAs, ApiError, Client, connect

DONE: Final = 0
"""Done, or there was nothing to do."""
REFUSED: Final = 1
"""Not done: something stands against it, and is listed."""
USAGE: Final = 2
"""The words make no command."""
UNANSWERED: Final = 3
"""The API server said no or could not be asked; what was done until then was printed."""

MAX_ARGUMENTS: Final = 1_000_000
"""Bytes of the arguments that are explained; a door takes as many."""
_SYSTEM: Final = "doorward-system"
_DEFAULT: Final = "~/.kube/config"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    words = parser().parse_args(argv)
    try:
        asyncio.run(_run(words))
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return REFUSED
    except (ApiError, ConfigError, Refusal) as error:
        sys.stderr.write(f"{error}\n")
        return UNANSWERED
    return DONE


def parser() -> argparse.ArgumentParser:
    """The commands and their flags; docs/cli.md has each of them."""
    access = argparse.ArgumentParser(add_help=False)
    access.add_argument("--kubeconfig", metavar="FILE", help="instead of KUBECONFIG and ~/.kube/config")
    access.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig; the current one if unset"
    )
    access.add_argument("--as", dest="user", metavar="USER", help="act as somebody else, if you may")
    access.add_argument(
        "--as-group", dest="groups", action="append", default=[], metavar="GROUP", help="and in this group"
    )
    found = argparse.ArgumentParser(
        prog="kubectl doorward",
        description="Hand namespaces over to Doorward, look at tasks, and answer them.",
    )
    found.add_argument("--version", action="version", version=f"doorward {__version__}")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_enrolment(commands, access)
    place = argparse.ArgumentParser(add_help=False, parents=[access])
    place.add_argument("-n", "--namespace", metavar="NAME", help="the context's own if unset")
    shown = commands.add_parser(
        "status", parents=[place], help="show the tasks of a namespace, or one of them"
    )
    shown.add_argument("task", nargs="?", metavar="TASK", help="show the conditions of this one")
    _add_people(commands, place)
    _add_explain(commands, place)
    return found


def _add_people(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], place: argparse.ArgumentParser
) -> None:
    listed = commands.add_parser("grants", parents=[place], help="show what waits for people")
    listed.add_argument("grant", nargs="?", metavar="GRANT", help="show all of this one")
    for command, sentence in {
        "approve": "agree to exactly what a Grant shows",
        "deny": "refuse what a Grant shows",
    }.items():
        made = commands.add_parser(command, parents=[place], help=sentence, description=sentence)
        made.add_argument("grant", metavar="GRANT")
        made.add_argument("--reason", metavar="TEXT", help="why, for those who read the ledger")
        if command == "approve":
            made.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
    sentence = "take something back, at once and for good"
    taken = commands.add_parser("revoke", parents=[place], help=sentence, description=sentence)
    taken.add_argument("kind", choices=sorted(MEMBERS), help="what is taken back")
    taken.add_argument("name", metavar="NAME", help="its name")
    taken.add_argument("--reason", metavar="TEXT", required=True, help="why, for those who read the ledger")
    sentence = "let a frozen task live again"
    thawed = commands.add_parser("thaw", parents=[place], help=sentence, description=sentence)
    thawed.add_argument("task", metavar="TASK")
    thawed.add_argument("--reason", metavar="TEXT", required=True, help="why, for those who read the ledger")


def _add_explain(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], place: argparse.ArgumentParser
) -> None:
    sentence = "show how an action of a task would be decided"
    made = commands.add_parser("explain", parents=[place], help=sentence, description=sentence)
    made.add_argument("task", metavar="TASK")
    made.add_argument("action", metavar="CONNECTOR/ACTION", help="e.g. code/issue.comment")
    made.add_argument(
        "--args", metavar="JSON", type=_arguments, default={}, help="the action's arguments, one JSON object"
    )


def _add_enrolment(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], access: argparse.ArgumentParser
) -> None:
    said = {
        "enroll": "make a namespace one where tasks run, and nothing else",
        "unenroll": "take a namespace out again",
    }
    for command, sentence in said.items():
        made = commands.add_parser(command, parents=[access], help=sentence, description=sentence)
        made.add_argument("namespace", metavar="NAMESPACE")
        made.add_argument(
            "--system-namespace", metavar="NAME", default=_SYSTEM, help=f"where Doorward is; {_SYSTEM}"
        )
        made.add_argument(
            "--dry-run", action="store_true", help="look and say what would be done; write nothing"
        )
        if command == "enroll":
            made.add_argument("--create", action="store_true", help="make the namespace if it is not there")


def _arguments(text: str) -> JsonObject:
    try:
        return strictjson.load_object(text.encode(), max_bytes=MAX_ARGUMENTS)
    except (Refusal, UnicodeEncodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _confirmed(question: str) -> bool:
    """Ask on standard error, so that what is shown can be kept; no answer is no."""
    sys.stderr.write(f"{question} [yes/no] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


async def _run(words: argparse.Namespace) -> None:
    acting = ActingAs(words.user, tuple(words.groups)) if words.user else None
    async with connected(words.kubeconfig, words.context, acting) as client:
        dry_run = getattr(words, "dry_run", False)
        place = Place(
            client,
            words.namespace or client.namespace,
            getattr(words, "system_namespace", _SYSTEM),
            _say_dry if dry_run else _say,
            dry_run,
        )
        await _carry_out(place, words)


async def _carry_out(place: Place, words: argparse.Namespace) -> None:
    match words.command:
        case "enroll":
            await enroll(place, create=words.create)
        case "unenroll":
            await unenroll(place)
        case "grants":
            await grants(place, words.grant)
        case "approve":
            await answer(place, words.grant, Answer.APPROVE, words.reason, None if words.yes else _confirmed)
        case "deny":
            await answer(place, words.grant, Answer.DENY, words.reason, None)
        case "revoke":
            await revoke(place, words.kind, words.name, words.reason)
        case "thaw":
            await thaw(place, words.task, words.reason)
        case "explain":
            await explain(place, words.task, words.action, words.args)
        case _:
            await status(place, words.task)


def connected(kubeconfig: str | None, context: str | None, acting: ActingAs | None = None) -> Client:
    """A client as kubectl would find its access. Raises `ConfigError`.

    The file is the argument, the first of KUBECONFIG that is there, or ~/.kube/config; the files of
    KUBECONFIG are not merged. In a pod without any of them it is the pod's own account.
    """
    named = [kubeconfig] if kubeconfig else os.environ.get("KUBECONFIG", _DEFAULT).split(os.pathsep)
    there = [path for path in named if path and Path(path).expanduser().is_file()]
    if kubeconfig and not there:
        raise ConfigError(f"no access to a cluster: there is no file {kubeconfig}")
    return connect(there[0] if there else None, context=context, acting=acting)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _say_dry(line: str) -> None:
    _say(f"{line} (dry run)")


if __name__ == "__main__":
    sys.exit(main())
