"""What a door sends must have exactly the agreed shape, be its own, fresh, and not too much."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from town import World, settled
from yarl import URL

from doorward.broker.decisions import parse
from doorward.broker.doors import parse_probes, parse_token
from doorward.broker.redemptions import _redemption, _report
from doorward.errors import Code, Refusal
from doorward.tokens import jwks, proof
from doorward.tokens.proof import Call, Nonces

VECTORS = json.loads(Path(__file__, "../../../vectors/broker/malformed.json").resolve().read_text("utf-8"))
PARSERS: dict[str, Any] = {
    "decision": parse,
    "opening": parse_token,
    "fence": parse_probes,
    "redemption": _redemption,
    "outcome": lambda body: _report(body, "sa:code"),
}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_any_other_shape_is_malformed(vector: dict[str, Any]) -> None:
    """Each vector is one change to a good request, which itself is accepted."""
    body = {**vector["good"], **vector.get("change", {})}
    for name in vector.get("without", []):
        del body[name]
    PARSERS[vector["parser"]](vector["good"])
    with pytest.raises(Refusal) as caught:
        PARSERS[vector["parser"]](body)

    assert caught.value.code == Code.MALFORMED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    ["request", "connector", "action", "args", "attachments", "token", "probes", "sent"]
)


@given(st.sampled_from(sorted(PARSERS)), st.dictionaries(MEMBERS, JSON, max_size=6))
def test_no_json_breaks_a_parser(name: str, body: dict[str, Any]) -> None:
    """It parses or it is `malformed`; nothing else comes out."""
    try:
        PARSERS[name](body)
    except Refusal as refusal:
        assert refusal.code == Code.MALFORMED  # noqa: PT017 - a yes is as good


class Wire:
    """A door that signs what it is told to."""

    def __init__(self, world: World, key: Ed25519PrivateKey, session: str) -> None:
        self.world = world
        self.key = key
        self.session: str | None = session

    async def send(self, http: Any, method: str, path: str, body: bytes, signed: str) -> tuple[int, Any]:
        """One request: status and document."""
        headers = {"Doorward-Proof": signed, "Content-Type": "application/json"}
        url = URL(self.world.doors_url + path, encoded=True)
        async with http.request(method, url, data=body or None, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    def sign(self, method: str, path: str, body: bytes = b"", audience: str = "doorward-broker") -> str:
        """A proof for it."""
        now = self.world.broker.clock()
        return proof.sign(self.key, Call(audience, method, path, body), now, self.session)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with settled(tmp_path) as made:
        yield made


async def test_a_proof_is_for_one_request_once(world: World) -> None:
    """Another path, method, body, audience, session or a second use: `proof_invalid`, 401."""
    key = Ed25519PrivateKey.generate()
    async with world.door(key) as door:
        session = (await door.open(world.run_task())).id
        wire, http = Wire(world, key, session), door._http
        good = wire.sign("GET", "/v1/actions")
        first = await wire.send(http, "GET", "/v1/actions", b"", good)
        attempts = [
            await wire.send(http, "GET", "/v1/actions", b"", good),
            await wire.send(http, "GET", "/v1/actions", b"", wire.sign("GET", "/v1/actions?a=1")),
            await wire.send(http, "GET", "/v1/actions", b"", wire.sign("POST", "/v1/actions")),
            await wire.send(http, "GET", "/v1/canaries", b"", wire.sign("GET", "/v1/actions")),
            await wire.send(http, "POST", "/v1/fence", b"{}", wire.sign("POST", "/v1/fence", b"[]")),
            await wire.send(
                http, "GET", "/v1/actions", b"", wire.sign("GET", "/v1/actions", b"", "connector:code")
            ),
            await wire.send(http, "GET", "/v1/actions", b"", "not.a.proof"),
        ]

    assert first[0] == 200
    assert [(status, body["code"]) for status, body in attempts] == [(401, "proof_invalid")] * 7


async def test_a_session_has_its_own_bucket(tmp_path: Path) -> None:
    """A busy agent is told to wait before anything costs; nothing of that is written down."""
    async with (
        settled(tmp_path, requests_per_second=0.001, request_burst=6) as world,
        world.door() as door,
    ):
        await door.open(world.run_task())
        await world.prove(door)
        codes = []
        for _ in range(8):
            with pytest.raises(Refusal) as caught:
                await door.decide("code", "no.such", {})
            codes.append(caught.value.code)
        denials = [link for link in world.ledger.reader.walk() if link.event == "action.denied"]

    assert codes == [Code.UNKNOWN_ACTION] * 5 + [Code.RATE_LIMITED] * 3
    assert len(denials) == 5


async def test_a_pod_has_its_own_bucket(tmp_path: Path) -> None:
    """Also for what is not signed well: reading proofs costs, and the agent has the pod's address."""
    async with (
        settled(tmp_path, requests_per_second=0.001, request_burst=5) as world,
        world.door() as door,
    ):
        codes = []
        for _ in range(12):
            with pytest.raises(Refusal) as caught:
                await door.actions()
            codes.append(caught.value.code)

    assert codes == [Code.SESSION_INVALID] * 10 + [Code.RATE_LIMITED] * 2


async def test_strangers_take_no_room_among_the_nonces(world: World) -> None:
    """Keys are free, nonces are remembered: whoever has no session must not fill what all share."""
    key = Ed25519PrivateKey.generate()
    async with world.door(key) as door:
        session = (await door.open(world.run_task())).id
        world.broker.sessions.nonces = Nonces(capacity=1)
        strangers = [
            Wire(world, Ed25519PrivateKey.generate(), session),
            Wire(world, Ed25519PrivateKey.generate(), "no-such-session"),
        ]
        refused = [
            await one.send(door._http, "GET", "/v1/canaries", b"", one.sign("GET", "/v1/canaries"))
            for one in strangers
        ]
        wire = Wire(world, key, session)
        mine = await wire.send(door._http, "GET", "/v1/canaries", b"", wire.sign("GET", "/v1/canaries"))

    assert [body["code"] for _, body in refused] == ["session_invalid"] * 2
    assert mine[0] == 200


async def test_a_connector_pod_has_its_own_bucket(tmp_path: Path) -> None:
    """One that runs wild does not take the broker with it."""
    async with settled(tmp_path, connector_requests_per_second=0.001) as world:
        token = world.hands_token()
        codes = [(await world.call_hands("/v1/redemptions", {}, token))[1]["code"] for _ in range(2)]

    assert codes == ["malformed", "rate_limited"]


async def test_a_pod_that_invents_tokens_does_not_melt_the_api_server(world: World) -> None:
    """Each unknown token is a question to it; a good one that was answered for is heard all the same."""
    good, asked = world.hands_token(), "/v1/redemptions"
    first = (await world.call_hands(asked, {}, good))[1]["code"]
    invented = [(await world.call_hands(asked, {}, f"invented-{number}"))[1]["code"] for number in range(25)]
    again = (await world.call_hands(asked, {}, good))[1]["code"]

    assert (first, again) == ("malformed", "malformed")
    assert set(invented[:19]) == {"session_invalid"}
    assert "rate_limited" in invented[19:]


async def test_too_many_denials_freeze_the_task(tmp_path: Path) -> None:
    """An agent that keeps trying is not an agent at work."""
    async with settled(tmp_path, max_denials=3) as world, world.door() as door:
        await door.open(world.run_task())
        await world.prove(door)
        codes = []
        for _ in range(6):
            with pytest.raises(Refusal) as caught:
                await door.decide("code", "no.such", {})
            codes.append(caught.value.code)

    assert codes == [Code.UNKNOWN_ACTION] * 4 + [Code.TASK_FROZEN] * 2


async def test_the_keys_are_public_on_both_listeners(world: World) -> None:
    """Others verify capabilities without asking us who they are."""
    async with world.door() as door:
        documents = []
        for url in (world.doors_url, world.hands_url):
            async with door._http.get(f"{url}/.well-known/jwks.json") as response:
                documents.append(await response.json())
        async with door._http.get(f"{world.doors_url}/.well-known/openid-configuration") as response:
            configuration = await response.json()

    assert documents[0] == documents[1]
    assert set(jwks.parse_document(documents[0])) == set(world.broker.keyring.keys.public)
    assert configuration["jwks_uri"] == "https://broker.test/.well-known/jwks.json"


async def test_each_listener_serves_its_own_callers_only(world: World) -> None:
    """A door finds no redemptions, a connector no decisions."""
    token = world.hands_token()
    async with world.door() as door:
        async with door._http.post(f"{world.doors_url}/v1/redemptions", json={}) as response:
            doors = response.status
        hands, _ = await world.call_hands("/v1/decisions", {}, token)

    assert (doors, hands) == (404, 404)
