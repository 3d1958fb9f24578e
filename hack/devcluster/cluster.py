"""Choosing a provider, and what all of them have in common."""

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from devcluster import forge, kind, tools
from devcluster.commands import CommandError
from devcluster.existing import Existing
from devcluster.forge.paths import Forge
from devcluster.kind import Kind
from devcluster.local.provider import Local
from devcluster.settings import Layout, cache, layout


class Provider(Protocol):
    """One way to have a cluster."""

    @property
    def name(self) -> str:
        """How it is chosen: `local`, `kind` or `existing`."""

    @property
    def programs(self) -> tuple[str, ...]:
        """The tools it needs."""

    def up(self) -> None:
        """Make it from nothing, removing remains of an earlier one."""

    def down(self) -> None:
        """Remove it with all traces."""

    def load(self, archives: list[Path]) -> None:
        """Make images of archives runnable in it."""

    def facts(self) -> dict[str, str]:
        """Addresses and paths, by the names that `env` prints."""

    def checks(self) -> dict[str, bool]:
        """What must be true of a healthy cluster."""


PROVIDERS: dict[str, Callable[[Layout], Provider]] = {"local": Local, "kind": Kind, "existing": Existing}


def choose(name: str | None = None) -> Provider:
    """The provider of this name, or of the running cluster, or the one this machine is fit for.

    Raises:
        CommandError: When there is none of that name, or the machine is fit for none.

    """
    places = layout()
    wanted = name or os.environ.get("DOORWARD_PROVIDER") or read_facts(places).get("PROVIDER") or _fitting()
    if wanted not in PROVIDERS:
        raise CommandError(f"no provider {wanted!r}; there are {', '.join(PROVIDERS)}")
    return PROVIDERS[wanted](places)


def _fitting() -> str:
    if kind.answers():
        return "kind"
    if sys.platform == "linux" and os.geteuid() == 0:
        return "local"
    raise CommandError("neither Docker nor root on Linux; set KUBECONFIG and use --provider existing")


def up(provider: Provider, *, again: bool = False) -> None:
    """Make the cluster, unless a healthy one of this provider is there (`again`: make it anew)."""
    places = layout()
    with _alone():
        tools.build(provider.programs)
        known = read_facts(places)
        if not again and known.get("PROVIDER") == provider.name and all(health(provider).values()):
            return
        provider.up()
        _write_facts(provider, places)


def down(provider: Provider) -> None:
    """Remove the cluster with all traces."""
    with _alone():
        provider.down()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait for whoever else makes or removes the cluster; the kernel frees a killed process' lock."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def health(provider: Provider) -> dict[str, bool]:
    """Every check of the provider, and the forge's where there is one."""
    places = layout()
    found = provider.checks()
    address = read_facts(places).get("HOST_IP")
    if address:
        found["forge"] = forge.healthy(Forge(places, address))
    return found


def read_facts(places: Layout) -> dict[str, str]:
    """What `up` wrote down about the cluster; empty when there is none."""
    if not places.facts.exists():
        return {}
    pairs = (shlex.split(line)[0].partition("=") for line in places.facts.read_text().splitlines())
    return {name: value for name, _, value in pairs}


def _write_facts(provider: Provider, places: Layout) -> None:
    facts = {
        "PROVIDER": provider.name,
        "KUBECONFIG": str(places.kubeconfig),
        "BIN": str(cache() / "bin"),
        "STATE": str(places.state),
        "LOGS": str(places.logs),
        **provider.facts(),
    }
    if "HOST_IP" in facts:
        facts |= forge.facts(places, facts["HOST_IP"])
    draft = places.facts.with_suffix(".new")
    draft.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in facts.items()))
    draft.replace(places.facts)
