"""Follows pods, namespaces and policies, and loads the compiled rules. Runs inside the node's namespace.

Run as `python -m devcluster.netpol.daemon KUBECONFIG LOADED`; the file LOADED is touched after each load.

Until the first lists are in, no pod traffic passes. A pod whose address is not known yet is cut off for that
moment (its first packet is sent again a second later). `DOORWARD_NETPOL_UNKNOWN=open` lets such packets pass
instead, as most real networks do: with it, tests show that the start gate in the pod holds on its own.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from devcluster.commands import CommandError, run
from devcluster.netpol import compile_ruleset
from devcluster.netpol.model import State, state_from
from devcluster.watching import Cache, Client, follow

_PATHS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}


class Enforcer:
    """Loads a ruleset when it differs from the one that is in force."""

    def __init__(self, load: Callable[[str], object], *, closed: bool) -> None:
        self._load, self._closed = load, closed
        self._loaded = ""

    def start(self) -> None:
        """Load the rules of a cluster about which nothing is known."""
        self._enforce(state_from((), (), (), closed=self._closed))

    def act(self, caches: dict[str, Cache]) -> None:
        """Bring the rules into line with the caches. A failure leaves the rules of before in force."""
        pods, namespaces, policies = (caches[name].objects.values() for name in _PATHS)
        try:
            self._enforce(state_from(pods, namespaces, policies, closed=self._closed))
        except (CommandError, ValueError) as error:
            print(f"rules not loaded: {error}", flush=True)

    def _enforce(self, state: State) -> None:
        text = compile_ruleset(state)
        if text != self._loaded:
            self._load(text)
            self._loaded = text


def nft(text: str) -> None:
    """Load rules atomically into the namespace we are in."""
    run("nft", "-f", "-", stdin=text)


async def main(kubeconfig: str, loaded: str) -> None:
    """Enforce until killed."""

    def load(text: str) -> None:
        nft(text)
        Path(loaded).touch()

    enforcer = Enforcer(load, closed=os.environ.get("DOORWARD_NETPOL_UNKNOWN", "closed") != "open")
    enforcer.start()
    async with Client(Path(kubeconfig)) as client:
        await follow(client, _PATHS, enforcer.act)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
