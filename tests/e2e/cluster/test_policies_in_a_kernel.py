"""The compiled rules in a real kernel, with real packets, against what the plan says of each connection."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devcluster import tools
from devcluster.commands import run, succeeds
from devcluster.netpol import compile_ruleset
from devcluster.netpol.cases import Case, Connection, every, read
from devcluster.netpol.evaluate import permits
from devcluster.netpol.plan import make_plan
from devcluster.settings import NETWORK
from devcluster.wait import until

pytestmark = pytest.mark.e2e

TABLE = Path(__file__).parents[2] / "unit" / "devcluster" / "netpol_cases.yaml"
CASES = read(TABLE)
ROUTER = f"doorlab-{os.getpid()}"


class Lab:
    """Throw-away network namespaces joined as the node joins pods: one link each, routed, never bridged."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.spaces = {name: f"{ROUTER}-{number}" for number, name in enumerate(addresses)}
        self.addresses = addresses
        self.servers: list[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        """Make namespaces, links and servers, and wait until every server answers."""
        run("ip", "netns", "add", ROUTER)
        run("ip", "netns", "exec", ROUTER, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for number, name in enumerate(self.addresses):
            self._join(number, name)
        for connection in every(self.addresses):
            until(lambda c=connection: self.reaches(c), f"{connection} to be served")

    def _join(self, number: int, name: str) -> None:
        space, ip, link = self.spaces[name], self.addresses[name], f"veth{number}"
        run("ip", "netns", "add", space)
        run(
            "ip", "link", "add", link, "netns", ROUTER, "type", "veth", "peer", "name", "eth0", "netns", space
        )
        run(
            "ip",
            "-n",
            ROUTER,
            "-batch",
            "-",
            stdin=f"""addr add {NETWORK.gateway}/32 dev {link}
            link set {link} up
            route add {ip}/32 dev {link}""",
        )
        run(
            "ip",
            "-n",
            space,
            "-batch",
            "-",
            stdin=f"""link set lo up
            addr add {ip}/32 dev eth0
            link set eth0 up
            route add {NETWORK.gateway} dev eth0
            route add default via {NETWORK.gateway}""",
        )
        argv = [*self._inside(space), tools.path("probe"), "serve", "tcp:80", "tcp:81", "udp:80"]
        self.servers.append(subprocess.Popen(argv))

    @staticmethod
    def _inside(space: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{space}", "--", "env", "PROBE_PATIENCE=300ms"]

    def load(self, ruleset: str) -> None:
        """Replace the router's rules."""
        run(*self._inside(ROUTER), "nft", "-f", "-", stdin=ruleset)

    def reaches(self, connection: Connection) -> bool:
        """Whether an echo really comes back."""
        target = f"{self.addresses[connection.target]}:{connection.port}"
        return succeeds(*self._inside(self.spaces[connection.source]), tools.path("probe"), "dial",
                        connection.protocol.lower(), target)  # fmt: skip

    def remove(self) -> None:
        """Leave nothing."""
        for server in self.servers:
            server.kill()
            server.wait()
        for space in [*self.spaces.values(), ROUTER]:
            run("ip", "netns", "del", space, check=False)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for the whole table: its addresses never change, its rules do."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for network namespaces")
    tools.build(["probe"])
    made = Lab(CASES[0].addresses)
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_the_kernel_decides_as_the_plan_says(lab: Lab, case: Case) -> None:
    """For every pair of places and every port that is served, packets pass exactly where the plan permits."""
    plan, places = make_plan(case.state), case.addresses
    connections = list(every(places))
    planned = {
        one: permits(
            plan, case.state, places[one.source], places[one.target], protocol=one.protocol, port=one.port
        )
        for one in connections
    }

    lab.load(compile_ruleset(case.state))
    with ThreadPoolExecutor(max_workers=30) as pool:
        found = dict(zip(connections, pool.map(lab.reaches, connections), strict=True))
    late = [one for one in connections if planned[one] and not found[one]]
    for one in late:  # an echo that came too late, on a busy machine, is none that was stopped
        found[one] = until(lambda one=one: lab.reaches(one), f"{one} to pass", 20)

    assert planned == found
