"""The command line behind `hack/cluster`."""

import argparse
import sys
import time
from pathlib import Path

from devcluster import cluster, tools
from devcluster.commands import CommandError, say
from devcluster.local.provider import DeadProgramError
from devcluster.settings import layout


def main() -> int:
    """Run one command; the exit status is 0 for success, 1 for failure or an unhealthy cluster."""
    options = _parser().parse_args()
    try:
        return int(options.run(options) or 0)
    except (CommandError, DeadProgramError, TimeoutError, LookupError) as error:
        say(str(error))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster", description="The development cluster of this machine."
    )
    parser.add_argument(
        "--provider", choices=[*cluster.PROVIDERS], help="instead of the one that fits the machine"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, act in _COMMANDS.items():
        command = commands.add_parser(name, help=act.__doc__, description=act.__doc__)
        command.set_defaults(run=act)
        if name == "up":
            command.add_argument("--again", action="store_true", help="make it anew even if it is healthy")
        if name == "load":
            command.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    return parser


def _build(_: argparse.Namespace) -> None:
    """Compile the pinned tools that are missing."""
    tools.build(tools.LOCAL)


def _up(options: argparse.Namespace) -> None:
    """Make the cluster and the forge; nothing happens when both are healthy."""
    began = time.monotonic()
    provider = cluster.choose(options.provider)
    cluster.up(provider, again=options.again)
    say(f"{provider.name} is up after {time.monotonic() - began:.1f} s")


def _down(options: argparse.Namespace) -> None:
    """Remove the cluster and the forge with all traces."""
    cluster.down(cluster.choose(options.provider))


def _status(options: argparse.Namespace) -> int:
    """Say what is healthy; fails when something is not."""
    checks = cluster.health(cluster.choose(options.provider))
    for name, good in checks.items():
        print(f"{name:26}{'ok' if good else 'FAILED'}")
    return 0 if checks and all(checks.values()) else 1


def _kubeconfig(_: argparse.Namespace) -> None:
    """Print the path of an administrator's kubeconfig."""
    print(_facts()["KUBECONFIG"])


def _env(_: argparse.Namespace) -> None:
    """Print addresses and paths as KEY=VALUE lines."""
    _facts()
    print(layout().facts.read_text(), end="")


def _facts() -> dict[str, str]:
    facts = cluster.read_facts(layout())
    if not facts:
        raise CommandError("there is no cluster; run `hack/cluster up`")
    return facts


def _load(options: argparse.Namespace) -> None:
    """Import image archives (docker-archive or OCI layout) into the node."""
    cluster.choose(options.provider).load(options.archives)


_COMMANDS = {
    "build": _build,
    "up": _up,
    "down": _down,
    "status": _status,
    "kubeconfig": _kubeconfig,
    "env": _env,
    "load": _load,
}


if __name__ == "__main__":
    sys.exit(main())
