"""What a watch's connection asks of the kernel."""

from __future__ import annotations

import socket

from doorward.kube import sockets


def test_a_watch_notices_within_seconds_that_the_other_end_has_gone() -> None:
    """The kernel asks by itself: a watch never sends anything that could fail."""
    with sockets.attentive((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ())) as made:
        alive = made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, between, probes = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )

    assert alive == 1
    assert idle + between * probes <= 3
