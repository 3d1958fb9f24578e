"""Ports that tests give to servers: two servers of one test once had the same, and one never came up."""

import socket

from devcluster import ports


def test_ports_differ_and_are_free() -> None:
    """As many as were asked for, each of which a server can take at once."""
    found = ports.free(200)
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()

    assert len(set(found)) == 200


def test_no_connection_takes_one_first() -> None:
    """They are below what Linux gives to whoever calls."""
    assert max(ports.free(200)) < 32_768
