"""What pods of the development cluster can reach, with and without policies, and after a change."""

import pytest

from devcluster.space import Space
from devcluster.wait import until

pytestmark = pytest.mark.e2e

CLOSED = {"podSelector": {"matchLabels": {"fenced": "yes"}}, "policyTypes": ["Ingress", "Egress"]}


def _places(facts: dict[str, str]) -> dict[str, str]:
    return {
        "API server": f"{facts['NODE_IP']}:6443",
        "API service": "10.96.0.1:443",
        "kubelet": f"{facts['NODE_IP']}:10250",
        "metadata": f"{facts['METADATA_IP']}:80",
        "forge": f"{facts['HOST_IP']}:3000",
        "DNS": f"{facts['DNS_IP']}:53",
    }


def test_an_unfenced_pod_reaches_everything_that_a_fence_must_forbid(
    facts: dict[str, str], space: Space
) -> None:
    """Only then does a refusal, seen from a fenced pod, prove anything."""
    space.pod("open", "serve", "tcp:8080")
    space.running("open")

    for name, address in _places(facts).items():
        until(lambda address=address: space.reaches("open", address), f"{name} to be reached")


def test_a_fenced_pod_reaches_nothing(facts: dict[str, str], space: Space) -> None:
    """A policy without rules cuts a pod off from node, host, services and metadata alike."""
    space.make("NetworkPolicy", "closed", CLOSED)
    space.pod("fenced", "serve", "tcp:8080", fenced="yes")
    space.running("fenced")

    found = {name: space.reaches("fenced", address) for name, address in _places(facts).items()}

    assert found == dict.fromkeys(_places(facts), False)


def test_not_even_the_first_packet_of_a_fenced_pod_gets_through(facts: dict[str, str], space: Space) -> None:
    """The rules hold before the first process starts, so being early helps nobody."""
    space.make("NetworkPolicy", "closed", CLOSED)
    for number in range(3):
        space.pod(f"hasty-{number}", "connect", "tcp", f"{facts['METADATA_IP']}:80", fenced="yes")

    assert [space.ended(f"hasty-{number}") for number in range(3)] == ["Failed"] * 3


def test_a_hasty_pod_without_a_fence_is_not_held_up(facts: dict[str, str], space: Space) -> None:
    """Its first packet passes: the rules know it before that. It would be repeated after a second."""
    space.pod("hasty", "connect", "tcp", f"{facts['METADATA_IP']}:80", patience="900ms")

    assert space.ended("hasty") == "Succeeded"


def test_a_new_policy_cuts_a_connection_that_was_allowed_before(space: Space) -> None:
    """Connections are judged at every packet: what a change forbids stops, it does not live on."""
    space.pod("server", "serve", "tcp:8080")
    space.pod("client", "stream", f"{space.running('server')}:8080", fenced="yes")
    space.running("client")
    until(lambda: "10\n" in space.kubectl("-n", space.name, "logs", "client"), "the connection to be in use")

    space.make("NetworkPolicy", "closed", CLOSED)

    assert "Failed" == space.ended("client")  # noqa: SIM300


def test_deleting_the_policy_opens_the_pod_again(facts: dict[str, str], space: Space) -> None:
    """Nothing of a policy outlives it."""
    space.make("NetworkPolicy", "closed", CLOSED)
    space.pod("fenced", "serve", "tcp:8080", fenced="yes")
    space.running("fenced")
    before = space.reaches("fenced", f"{facts['METADATA_IP']}:80")
    space.kubectl("-n", space.name, "delete", "networkpolicy", "closed")

    assert not before
    assert until(lambda: space.reaches("fenced", f"{facts['METADATA_IP']}:80"), "the pod to be open again")
