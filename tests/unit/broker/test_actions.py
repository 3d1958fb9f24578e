"""An action from its decision to its outcome, over real TLS, with the door's and connectors' own words."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict, CIMultiDictProxy
from town import SA, World, connector, revocation, role, settled, task
from waiting import until

from doorward.broker.redemptions import Callers, Hands
from doorward.core import digest
from doorward.core.action import Action
from doorward.core.grade import Cause
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.kube import Object, Resource, resources
from doorward.serving import Request
from doorward.tokens import capability
from doorward.tokens.capability import Expectation

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with settled(tmp_path) as made:
        yield made


async def denied(waiting: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value


async def opened(world: World, door: Door, name: str = "fix-1") -> None:
    await door.open(world.run_task(name))
    await world.prove(door)


def bearing(token: str) -> Request:
    """A connector's call."""
    headers = CIMultiDictProxy(CIMultiDict(Authorization=f"Bearer {token}"))
    return Request("POST", "/v1/outcomes", {}, headers, b"", "10.0.0.9", None)  # type: ignore[arg-type]


def bodies(world: World, event: str) -> list[dict[str, Any]]:
    return [json.loads(link.body) for link in world.ledger.reader.walk() if link.event == event]


async def test_the_broker_believes_its_own_signature(world: World) -> None:
    """What it has signed it does not verify again at the redemption; one that does not hold shows it."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        keys = world.broker.keyring.keys
        forged = f"{decision.capability.rpartition('.')[0]}.{'A' * 86}"
        before = await world.redeem(forged, world.hands_token())
        keys.made.remember(forged, keys.public[keys.current_id])
        after = await world.redeem(forged, world.hands_token())

    assert (before[0], before[1]["code"], after[0]) == (401, "capability_invalid", 200)


async def test_an_action_from_decision_to_outcome(world: World) -> None:
    """The capability says exactly what was decided, is spent once, and the ledger tells the story."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        token = world.hands_token()
        status, spent = await world.redeem(decision.capability, token)
        report = {
            "redemption": spent["redemption"],
            "outcome": "succeeded",
            "status": 201,
            "references": [{"kind": "comment", "id": "9"}],
            "bytes": 12,
            "sent": True,
        }
        told, answer = await world.call_hands("/v1/outcomes", report, token)
    expected = Expectation("https://broker.test", "connector:code", world.broker.keyring.keys.public)
    found = capability.read(decision.capability, expected, spent["now"])
    story = [link.event for link in world.ledger.reader.walk()]

    assert (status, told) == (200, 200)
    assert found.digest == digest.of(
        Action("code", "issue.comment", {"repository": "acme/web", "issue": 7}, ARGS)
    )
    assert (found.subject, found.decision, found.epoch) == ("fix-1-uid", decision.id, world.broker.epoch.id)
    assert 4.5 < spent["executeBy"] - spent["now"] <= 5.0
    assert bodies(world, "outcome.reported")[0]["references"] == [{"kind": "comment", "id": "9"}]
    assert story == [
        "epoch.started",
        "task.pinned",
        "session.opened",
        "fence.proven",
        "action.permitted",
        "capability.redeemed",
        "outcome.reported",
    ]
    assert answer["event"] == [link.hash for link in world.ledger.reader.walk()][-1]


async def test_the_same_request_gives_the_same_capability(world: World) -> None:
    """A door whose answer was lost asks again and has one capability, not two."""
    body = {
        "request": "01890a5d-ac96-774b-bcce-b302099a8057",
        "connector": "code",
        "action": "issue.comment",
        "args": ARGS,
        "attachments": [],
    }
    async with world.door() as door:
        await opened(world, door)
        first = await door._ask("POST", "/v1/decisions", body)
        again = await door._ask("POST", "/v1/decisions", body)
        other = await denied(door._ask("POST", "/v1/decisions", {**body, "args": {**ARGS, "number": 8}}))

    assert first == again
    assert other.code == Code.MALFORMED


@pytest.mark.parametrize(
    ("connector", "action", "args", "code"),
    [
        ("code", "issue.comment", {**ARGS, "owner": "evil"}, Code.NO_RULE),
        ("code", "issue.explode", ARGS, Code.UNKNOWN_ACTION),
        ("other", "issue.comment", ARGS, Code.UNKNOWN_ACTION),
        ("code", "issue.comment", {**ARGS, "extra": 1}, Code.ARGUMENTS_INVALID),
        ("code", "file.read", {"owner": "acme", "repo": "web", "path": "a"}, Code.NO_RULE),
    ],
)
async def test_a_denial_is_in_the_ledger_before_the_door_hears_it(
    world: World, connector: str, action: str, args: dict[str, Any], code: Code
) -> None:
    """With its code, and under the decision id that the agent is told."""
    async with world.door() as door:
        await opened(world, door)
        refusal = await denied(door.decide(connector, action, args))
    event = bodies(world, "action.denied")[0]

    assert (refusal.code, event["code"], event["decision"]) == (code, code.value, refusal.decision)


async def test_a_limit_is_held_and_said(tmp_path: Path) -> None:
    """`perTask: 2`: the third is refused with what was allowed, and the list of actions shows the count."""
    async with settled(tmp_path, {"limits": {"perTask": 2}}) as world, world.door() as door:
        await opened(world, door)
        for _ in range(2):
            await door.decide("code", "issue.comment", ARGS)
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        listed: Any = await door.actions()

    assert (refusal.code, refusal.rule) == (Code.LIMIT_EXCEEDED, "comment")
    assert {(row["action"], row["limits"][0]["used"]) for row in listed["actions"]} == {
        ("issue.comment", 2),
        ("issue.read", 2),
    }


async def test_of_64_parallel_redemptions_one_wins(world: World) -> None:
    """Over the wire too; the others are `replayed`."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        token = world.hands_token()
        answers = await asyncio.gather(
            *(world.redeem(decision.capability, token, nonce=f"n{number}") for number in range(64))
        )

    assert sorted(status for status, _ in answers) == [200] + [403] * 63
    assert {answer["code"] for status, answer in answers if status != 200} == {"replayed"}


async def test_another_connector_cannot_spend_it(world: World) -> None:
    """The service account must be that of the capability's audience; a stranger is not even heard."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        stranger = await world.redeem(
            decision.capability, world.hands_token("system:serviceaccount:agents:doorward-role-helper")
        )
        forged = await world.redeem(decision.capability, "no-token")

    assert (stranger[0], stranger[1]["code"]) == (401, "session_invalid")
    assert (forged[0], forged[1]["code"]) == (401, "session_invalid")


async def test_a_shared_audience_opens_nothing_to_another_connector(world: World) -> None:
    """Two Connectors that were given one audience by mistake still cannot spend for each other."""
    other = connector(service={"namespace": "doorward-chat", "name": "doorward-connector-chat"})
    world.tell(resources.CONNECTORS, {**other, "metadata": {"name": "chat", "uid": "chat-uid"}})
    token = world.hands_token("system:serviceaccount:doorward-chat:doorward-connector-chat")
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        _, stranger = await world.redeem(decision.capability, token)
        _, rightful = await world.redeem(decision.capability, world.hands_token())

    assert stranger["code"] == "capability_invalid"
    assert set(rightful) == {"redemption", "executeBy", "now"}


async def test_a_token_review_is_remembered_for_a_moment(world: World) -> None:
    """A connector that is busy does not melt the API server."""
    async with world.door() as door:
        await opened(world, door)
        token, before = world.hands_token(), world.town.reviews
        for _ in range(3):
            decision = await door.decide("code", "issue.comment", ARGS)
            assert (await world.redeem(decision.capability, token))[0] == 200

    assert world.town.reviews == before + 1


async def test_whoever_comes_during_a_token_review_waits_for_it(world: World) -> None:
    """A busy connector is asked about once, however many of its calls find nothing remembered."""
    callers, token = Callers(world.town, world.broker.facts, world.broker.clock), world.hands_token()
    world.town.hold, before = asyncio.Event(), world.town.reviews
    calls = [asyncio.ensure_future(callers.identify(bearing(token))) for _ in range(50)]
    await until(lambda: world.town.reviews > before)
    calls[0].cancel()
    world.town.hold.set()
    _, *found = await asyncio.gather(*calls, return_exceptions=True)

    assert [one.username for one in found if isinstance(one, Hands)] == [SA] * 49
    assert world.town.reviews == before + 1


async def test_a_no_of_a_token_review_is_not_remembered(world: World) -> None:
    """All who waited are refused, and whoever comes next is asked about anew."""
    callers, before = Callers(world.town, world.broker.facts, world.broker.clock), world.town.reviews
    calls = (callers.identify(bearing("nobody")) for _ in range(3))
    found = await asyncio.gather(*calls, return_exceptions=True)
    again = await denied(callers.identify(bearing("nobody")))

    assert [one.code for one in (*found, again) if isinstance(one, Refusal)] == [Code.SESSION_INVALID] * 4
    assert world.town.reviews == before + 2


async def test_a_tampered_capability_is_refused(world: World) -> None:
    """One character of the signature is enough."""
    async with world.door() as door:
        await opened(world, door)
        token = (await door.decide("code", "issue.comment", ARGS)).capability
        flipped = token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]
        status, answer = await world.redeem(flipped, world.hands_token())

    assert (status, answer["code"]) == (401, "capability_invalid")


async def test_a_narrower_role_acts_at_once(world: World) -> None:
    """The pinned and the current role must both permit."""
    async with world.door() as door:
        await opened(world, door)
        await door.decide("code", "issue.comment", ARGS)
        world.tell(resources.AGENT_ROLES, role(actions=["issue.read"]))
        refusal = await denied(door.decide("code", "issue.comment", ARGS))

    assert refusal.code == Code.NO_RULE


async def test_a_wider_role_does_not(world: World) -> None:
    """What was not there when the task began does not come to it later."""
    async with world.door() as door:
        await opened(world, door)
        world.tell(resources.AGENT_ROLES, role(resources={}))
        refusal = await denied(door.decide("code", "issue.comment", {**ARGS, "owner": "other"}))

    assert refusal.code == Code.NO_RULE


async def test_a_revocation_stops_decisions_and_redemptions(world: World) -> None:
    """The first from the news, the second from the ledger."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        world.tell(resources.REVOCATIONS, revocation(tasks=["fix-1"]))
        (latch,) = world.follow_ups
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        await world.ledger.latch(latch.uid, latch.subjects)
        _, answer = await world.redeem(decision.capability, world.hands_token())

    assert (refusal.code, answer["code"]) == (Code.REVOKED, "revoked")


NEWS: dict[str, tuple[Resource, Object, bool, str]] = {
    "the task is revoked": (resources.REVOCATIONS, revocation(tasks=["fix-1"]), False, "revoked"),
    "the task is deleted": (resources.AGENT_TASKS, task(), True, "task_ended"),
    "the namespace leaves": (resources.NAMESPACES, {"metadata": {"name": "agents"}}, False, "task_ended"),
}


@pytest.mark.parametrize("happened", NEWS)
async def test_news_stop_redemptions_before_they_are_written_down(world: World, happened: str) -> None:
    """Also while thousands of other endings wait for the ledger; the no is an event like every other."""
    resource, found, gone, code = NEWS[happened]
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        world.tell(resource, found, gone=gone)
        _, answer = await world.redeem(decision.capability, world.hands_token())

    assert answer["code"] == code
    assert [body["code"] for body in bodies(world, "redemption.refused")] == [code]


async def test_a_task_that_is_not_heard_of_yet_is_not_taken_for_over(world: World) -> None:
    """Its session opened by live looks; until the watch tells of it the answer is no, but not for good."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        heard = dict(world.broker.facts.tasks)
        world.broker.facts.tasks.clear()
        early = await denied(door.decide("code", "issue.comment", ARGS))
        _, answer = await world.redeem(decision.capability, world.hands_token())
        world.broker.facts.tasks.update(heard)
        status, _ = await world.redeem(decision.capability, world.hands_token())

    assert (early.code, answer["code"], status) == (Code.UNAVAILABLE, "unavailable", 200)


async def test_a_revoked_capability_is_stopped_by_the_news(world: World) -> None:
    """One capability can be taken back, and no other with it."""
    async with world.door() as door:
        await opened(world, door)
        first = await door.decide("code", "issue.comment", ARGS)
        second = await door.decide("code", "issue.comment", ARGS)
        (jti, _) = (body["capability"] for body in bodies(world, "action.permitted"))
        world.tell(resources.REVOCATIONS, revocation(capabilities=[jti]))
        answers = [
            await world.redeem(decision.capability, world.hands_token(), nonce=jti)
            for decision in (first, second)
        ]

    assert [status for status, _ in answers] == [403, 200]


async def test_above_draft_revocations_are_read_live(world: World) -> None:
    """A Revocation that no news has brought yet stops what is not known to be reversible."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        world.broker.effects._known.clear()
        world.town.taken_back.append(revocation(roles=["helper"]))
        _, answer = await world.redeem(decision.capability, world.hands_token())

    assert answer["code"] == "revoked"


async def test_above_draft_a_deleted_task_is_noticed_live(world: World) -> None:
    """And when the API server does not answer, the answer is no."""
    async with world.door() as door:
        await opened(world, door)
        first = await door.decide("code", "issue.comment", ARGS)
        world.broker.effects._known.clear()
        world.town.down = True
        token = world.hands_token()
        world.town.down = False
        await world.redeem("x.y.z", token)
        world.town.down = True
        _, blind = await world.redeem(first.capability, token)
        world.town.down = False
        world.town.tasks.clear()
        _, answer = await world.redeem(first.capability, token)

    assert (blind["code"], answer["code"]) == ("unavailable", "task_ended")


@contextmanager
def slow_disk(world: World) -> Iterator[None]:
    """The ledger's writer commits nothing until the context is left."""
    written = threading.Event()
    world.ledger._writer.submit(lambda _: written.wait(60))
    try:
        yield
    finally:
        written.set()


@pytest.mark.parametrize(("news", "code"), [("revocation", "revoked"), ("silence", "unavailable")])
async def test_what_comes_while_a_redemption_is_written_counts_too(
    world: World, news: str, code: str
) -> None:
    """A slow disk gives nobody more time: the connector does not hear of what it may not execute any more."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        token = world.hands_token()
        await world.redeem("x.y.z", token)
        with slow_disk(world):
            spending = asyncio.ensure_future(world.redeem(decision.capability, token))
            await until(lambda: world.ledger._writer._waiting >= 2)
            if news == "revocation":
                world.tell(resources.REVOCATIONS, revocation(tasks=["fix-1"]))
            else:
                world.broker.heartbeat._seen = None
        _, answer = await spending

    assert answer["code"] == code
    assert len(bodies(world, "capability.redeemed")) == 1


async def test_stale_news_decide_and_redeem_nothing(world: World) -> None:
    """No heartbeat, no yes; outcomes are still taken."""
    async with world.door() as door:
        await opened(world, door)
        first = await door.decide("code", "issue.comment", ARGS)
        second = await door.decide("code", "issue.comment", ARGS)
        token = world.hands_token()
        _, spent = await world.redeem(first.capability, token)
        world.broker.heartbeat._seen = None
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        _, answer = await world.redeem(second.capability, token)
        report = {
            "redemption": spent["redemption"],
            "outcome": "unknown",
            "status": None,
            "references": [],
            "bytes": 0,
            "sent": True,
        }
        told, _ = await world.call_hands("/v1/outcomes", report, token)

    assert (refusal.code, answer["code"], told) == (Code.UNAVAILABLE, "unavailable", 200)


async def test_a_namespace_that_is_not_enrolled_any_more_gets_nothing(world: World) -> None:
    """Nobody holds its pods to anything now."""
    async with world.door() as door:
        await opened(world, door)
        world.tell(resources.NAMESPACES, {"metadata": {"name": "agents", "labels": {}}})
        refusal = await denied(door.decide("code", "issue.comment", ARGS))

    assert refusal.code == Code.TASK_ENDED


async def test_a_task_that_ends_gets_nothing_any_more(world: World) -> None:
    """Its session closes before anything is written, and its door is told why."""
    async with world.door() as door:
        await opened(world, door)
        world.broker.sessions.end("fix-1-uid", "the task was deleted")
        refusal = await denied(door.decide("code", "issue.comment", ARGS))

    assert refusal.code == Code.TASK_ENDED


async def test_a_probe_that_got_through_freezes_the_task(world: World) -> None:
    """One is enough, at once and for good: also what was granted before is worth nothing."""
    async with world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        probe, *_ = world.probes()
        await denied(door._ask("POST", "/v1/fence", {"probes": [probe, {**probe, "blocked": False}]}))
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        _, answer = await world.redeem(decision.capability, world.hands_token())

    assert (refusal.code, answer["code"]) == (Code.TASK_FROZEN, "task_frozen")
    assert len(bodies(world, "fence.proven")) == len(bodies(world, "fence.breached")) == 1


async def test_a_restarted_broker_knows_its_sessions(tmp_path: Path) -> None:
    """Sessions, pinned roles and frozen tasks come out of the ledger."""
    key, frozen = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    async with settled(tmp_path) as world, world.door(key) as door, world.door(frozen) as other:
        await opened(world, door)
        await opened(world, other, "fix-2")
        await world.ledger.freeze("fix-2-uid", "because", Cause.FENCE_BREACH)
        sessions = door._session, other._session
    async with settled(tmp_path) as world, world.door(key) as door, world.door(frozen) as other:
        world.tell(resources.AGENT_TASKS, task())
        door._session, other._session = sessions
        decision = await door.decide("code", "issue.comment", ARGS)
        refusal = await denied(other.decide("code", "issue.comment", ARGS))

    assert decision.capability
    assert refusal.code == Code.TASK_FROZEN


async def test_a_condition_sees_what_the_tasks_actions_came_to(tmp_path: Path) -> None:
    """`outcomes` come out of the ledger, with rule, action, resource and status."""
    condition = "action != 'issue.read' || outcomes.exists(o, o.status == 'succeeded' && o.rule == 'comment')"
    async with settled(tmp_path, {"when": condition}) as world, world.door() as door:
        await opened(world, door)
        read = {name: ARGS[name] for name in ("owner", "repo", "number")}
        early = await denied(door.decide("code", "issue.read", read))
        decision, token = await door.decide("code", "issue.comment", ARGS), world.hands_token()
        _, spent = await world.redeem(decision.capability, token)
        report = {
            "redemption": spent["redemption"],
            "outcome": "succeeded",
            "status": 201,
            "references": [],
            "bytes": 0,
            "sent": True,
        }
        await world.call_hands("/v1/outcomes", report, token)
        later = await door.decide("code", "issue.read", read)

    assert early.code == Code.CONDITION_FALSE
    assert later.capability
