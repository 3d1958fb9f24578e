"""Bytes at the door's port that two readers could understand differently: refused, and nobody asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.door import session
from doorward.errors import Code, Refusal

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/http/door.json").read_text())
COMMENTS = "/via/code/repos/acme/web/issues/7/comments"


async def _first_line(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
async def test_a_request_with_two_readings_reaches_nobody(door: Any, vector: dict[str, Any]) -> None:
    """Each vector has its status; neither broker nor connector nor upstream hears of it."""
    door.behind.broker.calls.clear()
    text = vector["request"].replace("{host}", f"127.0.0.1:{door.port}").replace("{comments}", COMMENTS)

    line = await _first_line(door.port, text.encode())

    assert line.split()[1:2] == [str(vector["status"]).encode()], line
    assert (door.behind.broker.calls, door.behind.forge.seen) == ([], [])


async def test_the_vectors_fail_for_their_own_reason(door: Any) -> None:
    """The well-formed request that most vectors are bent from is served."""
    body = b'{"body":"hi"}'
    head = f"POST {COMMENTS} HTTP/1.1\r\nHost: 127.0.0.1:{door.port}\r\nContent-Type: application/json\r\n"

    line = await _first_line(door.port, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    assert line.split()[1] == b"201"


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_bytes_get_anything_done(door: Any, noise: bytes) -> None:
    """Whatever is sent where a request should begin, nothing is decided or executed."""
    door.behind.broker.calls.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(noise + b"\r\n\r\n")
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert (door.behind.broker.calls, door.behind.forge.seen) == ([], [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["session", "task", "connectors", "canaries", "name", "host", "port", "alive", "url"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@given(json_values)
def test_any_answer_of_a_broker_is_read_or_refused(document: Any) -> None:
    """A broker of another version is `unavailable`, never a crash or half a session."""
    try:
        found = session.read(document)
    except Refusal as refusal:
        assert refusal.code == Code.UNAVAILABLE  # noqa: PT017 - the other way out is a value
    else:
        assert isinstance(found.id, str)
