"""The fence is proven by what was tried and failed, and by nothing else."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.door import fence, probe
from doorward.door.fence import IN_A_ROW, Reach, Sighting, Streaks, Target
from doorward.door.session import Canary

CANARY = Target("canary-a", "10.0.0.9", 8471, "tcp", canary=True)
NODE = Target("kubelet", "10.0.0.1", 10250, "tcp")


def test_what_is_probed() -> None:
    """API server, kubelet, both metadata addresses, and each canary that lives."""
    canaries = [
        Canary("a", "10.0.0.9", 8471, "tcp", alive=True),
        Canary("b", "10.0.0.8", 8471, "udp", alive=False),
    ]

    found = fence.targets(canaries, "10.96.0.1", "10.0.0.1")

    assert [(target.name, target.host, target.port, target.canary) for target in found] == [
        ("api-server", "10.96.0.1", 443, False),
        ("kubelet", "10.0.0.1", 10250, False),
        ("metadata", "169.254.169.254", 80, False),
        ("metadata-v6", "fd00:ec2::254", 80, False),
        ("a", "10.0.0.9", 8471, True),
    ]


def test_a_name_is_no_target() -> None:
    """A name that does not resolve would look like a fence that holds."""
    with pytest.raises(ValueError, match="kubernetes"):
        fence.targets([], "kubernetes.default.svc", "10.0.0.1")


@given(st.lists(st.tuples(st.sampled_from(Reach), st.sampled_from(Reach)), min_size=1, max_size=8))
def test_proven_means_blocked_to_the_end(rounds: list[tuple[Reach, Reach]]) -> None:
    """The fence is proven exactly when the last two probes of every target were blocked."""
    streaks: Streaks = {}
    for canary, node in rounds:
        streaks = fence.counted(streaks, [Sighting(CANARY, canary), Sighting(NODE, node)])

    last = rounds[-IN_A_ROW:]
    expected = len(last) == IN_A_ROW and all(found is Reach.BLOCKED for pair in last for found in pair)
    assert (fence.missing(streaks, ()) == []) is expected


def test_without_a_live_canary_nothing_is_proven() -> None:
    """A pod on a node without network would otherwise prove anything."""
    streaks = fence.counted({NODE: 5}, [Sighting(NODE, Reach.BLOCKED)])

    assert fence.missing(streaks, ()) == ["a canary that the broker knows to be alive"]


def test_a_protocol_whose_canary_is_dead_is_not_proven_by_the_other() -> None:
    """A fence for TCP alone would let DNS tunnels out."""
    canaries = [
        Canary("t", "10.0.0.1", 8471, "tcp", alive=True),
        Canary("u", "10.0.0.1", 8471, "udp", alive=False),
    ]
    streaks = dict.fromkeys(fence.targets(canaries, "10.96.0.1", "10.0.0.9"), fence.IN_A_ROW)

    assert fence.missing(streaks, canaries) == ["a udp canary that the broker knows to be alive"]


def test_what_was_left_out_of_a_round_starts_again() -> None:
    """Blocked twice in a row means in a row."""
    streaks = fence.counted({}, [Sighting(CANARY, Reach.BLOCKED), Sighting(NODE, Reach.BLOCKED)])
    streaks = fence.counted(streaks, [Sighting(NODE, Reach.BLOCKED)])
    streaks = fence.counted(streaks, [Sighting(CANARY, Reach.BLOCKED), Sighting(NODE, Reach.BLOCKED)])

    assert streaks == {CANARY: 1, NODE: 3}


@pytest.mark.parametrize(("reach", "blocked"), [(Reach.BLOCKED, True), (Reach.OPEN, False)])
def test_the_broker_is_told_what_was_found(reach: Reach, blocked: bool) -> None:
    """Only a probe that was blocked is called so."""
    assert Sighting(CANARY, reach).document() == {
        "name": "canary-a",
        "host": "10.0.0.9",
        "port": 8471,
        "protocol": "tcp",
        "blocked": blocked,
    }


def test_want_of_sockets_is_no_fence() -> None:
    """The errors that count as blocked come from the network, not from a process that ran dry."""
    assert not {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS} & probe._BLOCKED


def test_a_failed_probe_accuses_nobody() -> None:
    """Want of a socket is neither a fence nor a breach, so it is not reported as either."""
    found = [Sighting(CANARY, Reach.UNDECIDED), Sighting(NODE, Reach.BLOCKED)]

    assert (fence.decided(found), fence.breaches(found)) == ([found[1]], [])
