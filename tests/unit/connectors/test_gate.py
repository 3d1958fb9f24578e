"""From a request with a capability to a stripped answer, through a real connector on TLS."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standin import signing_keys
from waiting import until

from doorward.connectors.admission import Presented
from doorward.connectors.broker import Outcome
from doorward.connectors.outcomes import CAPACITY
from doorward.errors import Code, Refusal

SECRET = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432"


async def test_a_comment_is_written_once_and_reported(rig: Any) -> None:
    """One capability, one request upstream with our credential, one outcome, one answer."""
    status, answer = await rig.act()

    assert (status, rig.forge.comments) == (200, ["Found it: the hinge."])
    [seen] = rig.forge.seen
    assert seen.target == "/api/v1/repos/acme/web/issues/7/comments"
    assert seen.headers["Authorization"] == f"token {SECRET}"
    [outcome] = rig.broker.outcomes
    assert outcome["outcome"] == "succeeded"
    assert outcome["sent"] is True
    assert outcome["references"] == [{"kind": "issue", "id": "7"}, {"kind": "comment", "id": "41"}]
    assert answer["receipt"]["outcome"] == "succeeded"
    assert answer["receipt"]["decision"] == "decision-1"
    assert rig.broker.paths()[-2:] == ["/v1/redemptions", "/v1/outcomes"]
    assert rig.count("doorward_connector_actions_total", action="issue.comment", outcome="succeeded") == 1


async def test_upstream_gets_our_headers_and_no_others(rig: Any) -> None:
    """What goes upstream is built here: five headers, whatever the caller sent."""
    body, token = rig.order()
    headers = {"X-Api-Key": "mine", "Cookie": "a=b", "Authorization": "Bearer mine", "Private-Token": "mine"}
    signed = rig.holder.prove(body, token)
    presented = {"Doorward-Capability": token, "Doorward-Proof": signed, "Content-Type": "application/json"}
    async with rig.http.post(
        f"{rig.url}/v1/actions", data=body, headers={**headers, **presented}
    ) as response:
        assert response.status == 200

    [seen] = rig.forge.seen
    sent = set(seen.headers) - {"Host", "Content-Length"}
    assert sent == {"Authorization", "Accept", "Accept-Encoding", "User-Agent", "Content-Type"}
    assert seen.headers["Authorization"] == f"token {SECRET}"


async def test_an_upstreams_no_comes_back_with_its_status(rig: Any) -> None:
    """A 404 is an answer: the capability is spent, the outcome is `failed`, the status travels."""
    status, answer = await rig.act("issue.read", owner="acme", repo="web", number=8)

    assert (status, answer["upstream"]["status"]) == (200, 404)
    assert answer["receipt"]["outcome"] == "failed"
    assert rig.broker.outcomes[0]["outcome"] == "failed"


async def test_only_known_headers_come_back(rig: Any) -> None:
    """Set-Cookie and whatever else an upstream says about itself stay here."""
    _, answer = await rig.act("issue.read")

    assert answer["upstream"]["headers"] == {}
    _, answer = await rig.act("issue.query", owner="acme", repo="web")
    assert set(answer["upstream"]["headers"]) == {"link", "x-total-count"}


async def test_a_capability_is_spent_once(rig: Any) -> None:
    """The same capability with a new proof is `replayed`, and nothing happens upstream."""
    body, token = rig.order()

    assert (await rig.post(body, token))[0] == 200
    status, problem = await rig.post(body, token)

    assert (status, problem["code"]) == (403, "replayed")
    assert problem["decision"] == "decision-1"
    assert len(rig.forge.seen) == 1


async def test_of_many_at_once_one_wins(rig: Any) -> None:
    """Twenty concurrent presentations of one capability make one comment."""
    body, token = rig.order()

    found = await asyncio.gather(*(rig.post(body, token) for _ in range(20)))

    assert sorted(status for status, _ in found) == [200] + 19 * [403]
    assert len(rig.forge.comments) == 1


async def test_a_lost_redemption_is_asked_for_again(rig: Any) -> None:
    """When the broker's answer is lost the same nonce is sent again, and the work is done once."""
    rig.broker.lose["/v1/redemptions"] = 2

    status, _ = await rig.act()

    assert status == 200
    nonces = {body["nonce"] for path, body in rig.broker.calls if path == "/v1/redemptions"}
    assert (len(nonces), len(rig.forge.comments)) == (1, 1)


async def test_without_an_answer_of_the_broker_nothing_is_sent(rig: Any) -> None:
    """A broker that never answers leaves the action undone."""
    rig.broker.lose["/v1/redemptions"] = 99

    status, problem = await rig.act()

    assert (status, problem["code"]) == (503, "unavailable")
    assert rig.forge.seen == []


@pytest.mark.parametrize("code", [Code.REVOKED, Code.TASK_ENDED, Code.TASK_FROZEN, Code.REPLAYED])
async def test_the_brokers_no_is_final(rig: Any, code: Code) -> None:
    """A refused redemption is passed on, asked for once, and nothing is sent."""
    rig.broker.refuse["/v1/redemptions"] = Refusal(code, "no")

    status, problem = await rig.act()

    assert (status, problem["code"]) == (403, code)
    assert rig.broker.paths().count("/v1/redemptions") == 1
    assert rig.forge.seen == []
    assert rig.count("doorward_connector_refusals_total", code=code) == 1


async def test_past_the_brokers_time_nothing_is_sent(rig: Any) -> None:
    """When `executeBy` has passed before sending, the outcome is `failed` and not sent."""
    rig.broker.seconds = 0.0

    status, problem = await rig.act()

    assert (status, problem["code"]) == (503, "unavailable")
    assert rig.forge.seen == []
    assert rig.broker.outcomes[0] | {"redemption": ""} == {
        "redemption": "",
        "outcome": "failed",
        "status": 0,
        "references": [],
        "bytes": 0,
        "sent": False,
    }


async def test_an_outcome_is_told_until_it_is_heard(rig: Any) -> None:
    """The agent has its answer though the broker is deaf; the outcome follows when it hears again."""
    rig.broker.refuse["/v1/outcomes"] = Refusal(Code.UNAVAILABLE, "starting")

    status, _ = await rig.act()
    assert (status, rig.gate.outcomes.waiting) == (200, 1)
    assert rig.count("doorward_connector_outcomes_waiting") == 1
    del rig.broker.refuse["/v1/outcomes"]

    assert await rig.gate.outcomes.flush()
    assert rig.broker.outcomes[0]["outcome"] == "succeeded"


async def test_a_caller_that_leaves_does_not_take_the_outcome_with_it(rig: Any) -> None:
    """Once spent, a capability's story is finished: the outcome is reported to the end."""
    rig.forge.hold = asyncio.Event()
    body, token = rig.order()
    presented = Presented("/v1/actions", body, token, rig.holder.prove(body, token))
    call = asyncio.ensure_future(rig.gate.handle(presented))
    await until(lambda: rig.forge.seen)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call

    rig.forge.hold.set()

    await until(lambda: rig.broker.outcomes)
    assert rig.broker.outcomes[0]["outcome"] == "succeeded"


async def test_what_could_not_be_told_is_not_done(rig: Any) -> None:
    """With the memory of untold outcomes full, nothing is spent."""
    rig.gate.outcomes._waiting.extend([Outcome("r", "succeeded", 200, (), 0, sent=True)] * CAPACITY)

    status, problem = await rig.act()
    rig.gate.outcomes._waiting.clear()

    assert (status, problem["code"]) == (503, "unavailable")
    assert "/v1/redemptions" not in rig.broker.paths()


async def test_a_busy_connector_says_so_before_anything_is_spent(rig_of: Any) -> None:
    """Beyond its concurrency a connector refuses, and the capability remains good."""
    async with rig_of(concurrency=1) as rig:
        rig.forge.hold = asyncio.Event()
        first = asyncio.ensure_future(rig.act())
        await until(lambda: rig.forge.seen)
        body, token = rig.order()

        status, problem = await rig.post(body, token)
        rig.forge.hold.set()

        assert (status, problem["code"]) == (429, "rate_limited")
        assert (await first)[0] == 200
        assert (await rig.post(body, token))[0] == 200


async def test_a_burst_counts_in_full(rig_of: Any) -> None:
    """Of many that come in one turn of the loop no more are let in than there is room for."""
    async with rig_of(concurrency=2) as rig:
        rig.forge.hold = asyncio.Event()
        orders = [rig.order() for _ in range(8)]
        burst = [asyncio.ensure_future(rig.post(*order)) for order in orders]
        await until(lambda: sum(each.done() for each in burst) == 6)
        rig.forge.hold.set()

        assert sorted(status for status, _ in await asyncio.gather(*burst)) == [200] * 2 + [429] * 6


async def test_nobody_has_signatures_checked_without_end(rig_of: Any) -> None:
    """An address that comes too often is refused before anything is read, and its capability remains good."""
    async with rig_of(requests_per_second=0.5, request_burst=2) as rig:
        now = rig.gate.clock()
        rig.gate.clock = lambda: now
        garbage = [await rig.post(b"{}", "no.capability.atall") for _ in range(2)]
        body, token = rig.order()
        status, problem = await rig.post(body, token)

        assert [answer[1]["code"] for answer in garbage] == ["capability_invalid"] * 2
        assert (status, problem["code"]) == (429, "rate_limited")
        assert rig.count("doorward_connector_refusals_total", code="rate_limited") == 1
        assert "/v1/redemptions" not in rig.broker.paths()

        rig.gate.clock = lambda: now + 2
        assert (await rig.post(body, token))[0] == 200


async def test_a_rotated_key_is_fetched_when_it_is_first_seen(rig: Any) -> None:
    """A capability signed by a key that is newer than our last look is good at once."""
    rig.gate.keyring._fetched_at = float("-inf")
    rig.broker.signing = signing_keys()

    assert (await rig.act())[0] == 200


async def test_a_credential_is_rotated_without_a_restart(rig: Any) -> None:
    """The next action uses what the mounted file says then."""
    await rig.act("issue.read")
    rig.gate.upstream._credential.path.write_text("another0another0another0")
    await rig.act("issue.read")

    sent = [seen.headers["Authorization"] for seen in rig.forge.seen]
    assert sent == [f"token {SECRET}", "token another0another0another0"]


async def test_without_a_credential_nothing_is_sent(rig: Any) -> None:
    """An emptied file stops the connector from acting, with a code that says whose matter it is."""
    rig.gate.upstream._credential.path.write_text("")

    status, problem = await rig.act("issue.read")

    assert (status, problem["code"]) == (503, "unavailable")
    assert "owner" in problem["ask"]
    assert rig.forge.seen == []


async def test_arguments_that_cannot_be_executed_spend_nothing(rig: Any) -> None:
    """What the upstream's form cannot express is refused before the capability is redeemed."""
    status, problem = await rig.act(owner="acme", repo="web", number=7, body="bell \x07")

    assert (status, problem["code"]) == (422, "arguments_invalid")
    assert "/v1/redemptions" not in rig.broker.paths()


async def test_what_breaks_after_redeeming_is_unknown(rig: Any) -> None:
    """A fault of ours after the capability is spent never looks like a plain no."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    rig.gate.upstream.send = broken

    status, problem = await rig.act()

    assert (status, problem["code"]) == (504, "outcome_unknown")
    assert rig.broker.outcomes[0]["outcome"] == "unknown"


async def test_strangers_cannot_fill_the_memory_of_nonces(rig: Any) -> None:
    """A valid proof of a key that no capability is bound to leaves no trace."""
    body, token = rig.order()
    rig.holder = type(rig.holder)()

    status, problem = await rig.post(body, token)

    assert (status, problem["code"]) == (401, "proof_invalid")
    assert len(rig.gate.nonces._seen) == 0


async def test_nothing_is_served_beside_the_one_route(rig: Any) -> None:
    """Other paths and methods of a connector do not exist."""
    for method, path in [("GET", "/"), ("GET", "/v1/actions"), ("POST", "/v1/outcomes"), ("GET", "/metrics")]:
        async with rig.http.request(method, rig.url + path) as response:
            assert response.status in {404, 405}
    assert rig.forge.seen == []


async def test_the_connector_asks_for_nothing_but_tls(rig: Any) -> None:
    """A plain request to the TLS port gets no answer."""
    with pytest.raises(aiohttp.ClientError):
        await rig.http.get(rig.url.replace("https", "http"))


async def test_the_token_for_the_broker_is_rotated_without_a_restart(rig: Any, tmp_path: Path) -> None:
    """The kubelet replaces the file; the next capability is spent with what it says then."""
    first = await rig.act("issue.read")
    rig.broker.token = "another-token"
    (tmp_path / "next").write_text("another-token\n")
    (tmp_path / "next").rename(tmp_path / "token")
    second = await rig.act("issue.read")

    assert (first[0], second[0]) == (200, 200)


async def test_without_a_token_for_the_broker_nothing_is_sent(rig: Any, tmp_path: Path) -> None:
    """A token that was taken away is not used any more, and what cannot be redeemed is not done."""
    await rig.act("issue.read")
    (tmp_path / "token").unlink()
    status, problem = await rig.act("issue.read")

    assert (status, problem["code"]) == (503, "unavailable")
    assert len(rig.forge.seen) == 1
