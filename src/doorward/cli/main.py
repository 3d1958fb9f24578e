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
from doorward.cli.enroll import enroll, unenroll
from doorward.cli.place import Place, Refused
from doorward.cli.status import status
from doorward.errors import ConfigError
from doorward.kube import ApiError, Client, connect

DONE: Final = 0
"""Done, or there was nothing to do."""
REFUSED: Final = 1
"""Not done: something stands against it, and is listed."""
USAGE: Final = 2
"""The words make no command."""
UNANSWERED: Final = 3
"""The API server said no or could not be asked; what was done until then was printed."""

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
    except (ApiError, ConfigError) as error:
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
    found = argparse.ArgumentParser(
        prog="kubectl doorward", description="Hand namespaces over to Doorward, and look at tasks."
    )
    found.add_argument("--version", action="version", version=f"doorward {__version__}")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_enrolment(commands, access)
    shown = commands.add_parser(
        "status", parents=[access], help="show the tasks of a namespace, or one of them"
    )
    shown.add_argument("task", nargs="?", metavar="TASK", help="show the conditions of this one")
    shown.add_argument("-n", "--namespace", metavar="NAME", help="the context's own if unset")
    return found


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


async def _run(words: argparse.Namespace) -> None:
    async with connected(words.kubeconfig, words.context) as client:
        dry_run = getattr(words, "dry_run", False)
        place = Place(
            client,
            words.namespace or client.namespace,
            getattr(words, "system_namespace", _SYSTEM),
            _say_dry if dry_run else _say,
            dry_run,
        )
        if words.command == "enroll":
            await enroll(place, create=words.create)
        elif words.command == "unenroll":
            await unenroll(place)
        else:
            await status(place, words.task)


def connected(kubeconfig: str | None, context: str | None) -> Client:
    """A client as kubectl would find its access. Raises `ConfigError`.

    The file is the argument, the first of KUBECONFIG that is there, or ~/.kube/config; the files of
    KUBECONFIG are not merged. In a pod without any of them it is the pod's own account.
    """
    named = [kubeconfig] if kubeconfig else os.environ.get("KUBECONFIG", _DEFAULT).split(os.pathsep)
    there = [path for path in named if path and Path(path).expanduser().is_file()]
    if kubeconfig and not there:
        raise ConfigError(f"no access to a cluster: there is no file {kubeconfig}")
    return connect(there[0] if there else None, context=context)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _say_dry(line: str) -> None:
    _say(f"{line} (dry run)")


if __name__ == "__main__":
    sys.exit(main())
