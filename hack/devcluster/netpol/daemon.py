"""Follows pods, namespaces and policies, and loads the compiled rules. Runs inside the node's namespace.

Run as `python -m devcluster.netpol.daemon KUBECONFIG LOADED SOCKET`; the file LOADED is touched after each
load, on SOCKET the network plugin announces new pods.

A pod does not start before its rules hold (see `announce`), and until the first lists are in, or where an
address is not known, nothing passes. Most real networks are open for a moment instead:
`DOORWARD_NETPOL_UNKNOWN=open` imitates them, for tests which show that the start gate in the pod holds alone.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from devcluster.commands import CommandError, run
from devcluster.netpol import compile_ruleset
from devcluster.netpol.announce import Announcements
from devcluster.netpol.model import State, state_from
from devcluster.watching import Cache, Client, follow

_PATHS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}


class Enforcer:
    """Loads a ruleset when it differs from the one that is in force."""

    def __init__(
        self, load: Callable[[str], object], changed: Callable[[], None] = lambda: None, *, closed: bool
    ) -> None:
        self._load, self._closed = load, closed
        self._loaded = ""
        self.announcements = Announcements(changed)

    def start(self) -> None:
        """Load the rules of a cluster about which nothing is known."""
        self._enforce(state_from((), (), (), closed=self._closed))

    def act(self, caches: dict[str, Cache]) -> None:
        """Bring the rules into line with the caches. A failure leaves the rules of before in force."""
        pods, namespaces, policies = (caches[name].objects.values() for name in _PATHS)
        known = self.announcements.complete(pods) if self._closed else pods
        try:
            self._enforce(state_from(known, namespaces, policies, closed=self._closed))
        except (CommandError, ValueError) as error:
            print(f"rules not loaded: {error}", flush=True)
        else:
            self.announcements.settle(pods)

    def _enforce(self, state: State) -> None:
        text = compile_ruleset(state)
        if text != self._loaded:
            self._load(text)
            self._loaded = text


def nft(text: str) -> None:
    """Load rules atomically into the namespace we are in."""
    run("nft", "-f", "-", stdin=text)


async def main(kubeconfig: str, loaded: str, socket: str) -> None:
    """Enforce until killed."""

    def load(text: str) -> None:
        nft(text)
        Path(loaded).touch()

    dirty = asyncio.Event()
    closed = os.environ.get("DOORWARD_NETPOL_UNKNOWN", "closed") != "open"
    enforcer = Enforcer(load, dirty.set, closed=closed)
    enforcer.start()
    async with Client(Path(kubeconfig)) as client, asyncio.TaskGroup() as group:
        group.create_task(enforcer.announcements.serve(Path(socket)))
        group.create_task(follow(client, _PATHS, enforcer.act, dirty=dirty))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
