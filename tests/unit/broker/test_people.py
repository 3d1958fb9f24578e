"""From a demanded action to a use of what people agreed to, and every way in which nothing comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from town import GROUP, NAMESPACE, World, revocation, role, settled
from waiting import until

from doorward.broker.clerk import DRIFT_SECONDS
from doorward.broker.people import parse_wait
from doorward.broker.showing import stamp
from doorward.core.clock import system
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.kube import Object, resources
from doorward.tokens import capability
from doorward.tokens.capability import Expectation

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}
BROKER = "system:serviceaccount:doorward-system:doorward-broker"
RULE = {"approval": {"quorum": 2, "expires": "30m"}}
YES = {"bob": {"approve"}, "carol": {"approve/comment"}, "dave": {"approve", "use"}, "alice": {"approve"}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with settled(tmp_path, RULE) as made:
        made.town.verbs.update(YES)
        yield made


async def opened(world: World, door: Door, name: str = "fix-1") -> Door:
    await door.open(world.run_task(name))
    await world.prove(door)
    return door


async def denied(waiting: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value


async def asked(world: World, door: Door, **args: Any) -> Object:
    """The Grant that a refused decision has made, told to the broker as its watch would."""
    refusal = await denied(door.decide("code", "issue.comment", {**ARGS, **args}))
    assert refusal.code == Code.APPROVAL_PENDING
    found = world.town.grants[NAMESPACE, str(refusal.members["grant"])]
    world.tell(resources.GRANTS, found)
    return found


def approval(grant: Object, user: str = "bob", decision: str = "Approve", **changes: Any) -> Object:
    """A person's answer."""
    metadata = {
        "name": f"{grant['metadata']['name']}-{user.rpartition(':')[2]}",
        "namespace": NAMESPACE,
        "uid": f"{user}-{decision}",
        "creationTimestamp": changes.pop("at", stamp(system() + 1)),
    }
    spec = {
        "grant": grant["metadata"]["name"],
        "digest": grant["spec"]["digest"],
        "decision": decision,
        "user": user,
        "groups": ["team"],
        **changes,
    }
    return {"apiVersion": GROUP, "kind": "Approval", "metadata": metadata, "spec": spec}


async def answer(world: World, grant: Object, *found: Object) -> str:
    """People answer; where the Grant stands then."""
    for item in found:
        world.tell(resources.APPROVALS, item)
    return await settle(world, grant)


async def settle(world: World, grant: Object) -> str:
    """One look of the clerk; where the Grant stands then."""
    key = (NAMESPACE, str(grant["metadata"]["name"]))
    await world.broker.clerk.settle(key)
    row = world.ledger.reader.grant(*key)
    assert row is not None
    return row.state


def bodies(world: World, event: str) -> list[dict[str, Any]]:
    return [json.loads(link.body) for link in world.ledger.reader.walk() if link.event == event]


async def test_from_a_question_to_a_capability(world: World) -> None:
    """Two people agree to exactly this; the capability and the decision name the Grant and both of them."""
    told: list[str] = []
    world.broker.clerk.tell = lambda row: told.append(row.state)
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        first = await answer(world, grant, approval(grant, "bob"))
        second = await answer(world, grant, approval(grant, "carol"))
        decision = await door.decide("code", "issue.comment", ARGS)
        again = await denied(door.decide("code", "issue.comment", ARGS))
    expected = Expectation("https://broker.test", "connector:code", world.broker.keyring.keys.public)
    found = capability.read(decision.capability, expected, system())
    permitted = bodies(world, "action.permitted")[0]

    assert (first, second) == ("pending", "active")
    assert found.grant == permitted["grant"] == grant["metadata"]["uid"]
    assert permitted["approvers"] == ["bob", "carol"]
    assert again.code == Code.LIMIT_EXCEEDED
    assert told == ["pending", "active", "exhausted"]


async def test_the_grant_says_what_would_happen(world: World) -> None:
    """Everything in it is the broker's own reading; the agent's words are marked as a claim."""
    async with world.door() as door:
        await opened(world, door)
        body = {
            "request": "01890a5d-ac96-774b-bcce-b302099a8057",
            "connector": "code",
            "action": "issue.comment",
            "args": ARGS,
            "attachments": [],
            "reason": "It is \u202eurgent\nsummary: harmless",
        }
        refusal = await denied(door._ask("POST", "/v1/decisions", body))
    grant = world.town.grants[NAMESPACE, str(refusal.members["grant"])]
    spec = grant["spec"]

    assert refusal.members["pending"] == {
        "expires": pytest.approx(system() + 1800, abs=60),
        "quorum": 2,
        "approvals": 0,
    }
    assert grant["metadata"]["ownerReferences"] == [
        {"apiVersion": GROUP, "kind": "AgentTask", "name": "fix-1", "uid": "fix-1-uid"}
    ]
    assert spec["summary"].splitlines() == [
        "action: issue.comment by connector code",
        "effect: draft",
        'on: issue "7", repository "acme/web"',
        'argument body: "hello"',
        "argument number: 7",
        'argument owner: "acme"',
        'argument repo: "web"',
        'the agent claims, checked by nobody: "It is \\u{202e}urgent\\nsummary: harmless"',
    ]
    assert (spec["author"], spec["quorum"], spec["expires"], spec["maxUses"]) == (BROKER, 2, "1800s", 1)
    assert spec["reason"] == "It is \\u{202e}urgent\\nsummary: harmless"


async def test_asking_again_asks_nobody_twice(world: World) -> None:
    """The same action is the same question, also of a second door and after a crash in between."""
    async with world.door() as door:
        await opened(world, door)
        world.town.down = True
        nobody = await denied(door.decide("code", "issue.comment", ARGS))
        world.town.down = False
        for _ in range(2):
            await asked(world, door)

    assert nobody.code == Code.UNAVAILABLE
    assert len(world.town.grants) == 1
    assert len(bodies(world, "grant.requested")) == 1


async def test_a_request_whose_answer_was_lost_is_answered_alike(world: World) -> None:
    """Also where it took the last use; another request gets none."""
    body = {
        "request": "01890a5d-ac96-774b-bcce-b302099a8057",
        "connector": "code",
        "action": "issue.comment",
        "args": ARGS,
        "attachments": [],
    }
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))
        answers: list[Any] = [await door._ask("POST", "/v1/decisions", body) for _ in range(2)]
        other = await denied(door.decide("code", "issue.comment", ARGS))

    assert answers[0]["decision"] == answers[1]["decision"]
    assert other.code == Code.LIMIT_EXCEEDED


async def test_a_revoked_grant_takes_its_capability_with_it(world: World) -> None:
    """With the news, before the ledger has it."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))
        decision = await door.decide("code", "issue.comment", ARGS)
        world.tell(resources.REVOCATIONS, revocation(grants=[grant["metadata"]["name"]]))
        status, body = await world.redeem(decision.capability, world.hands_token())

    assert (status, body["code"]) == (403, "revoked")


async def test_a_revoked_grant_that_is_not_heard_of_yet_gives_nothing(world: World) -> None:
    """Another broker asked and counted: here only the Revocation is known, and not yet written down."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))
        decision = await door.decide("code", "issue.comment", ARGS)
        world.broker.facts.grants.clear()
        world.tell(resources.REVOCATIONS, revocation(grants=[grant["metadata"]["name"]]))
        _, blind = await world.redeem(decision.capability, world.hands_token())
        world.tell(resources.GRANTS, grant)
        _, seeing = await world.redeem(decision.capability, world.hands_token())

    assert (blind["code"], seeing["code"]) == ("unavailable", "revoked")


async def test_the_sixth_question_waits_for_the_first(world: World) -> None:
    """An agent cannot flood its approvers."""
    async with world.door() as door:
        await opened(world, door)
        for number in range(5):
            await asked(world, door, number=number + 1)
        refusal = await denied(door.decide("code", "issue.comment", {**ARGS, "number": 9}))

    assert refusal.code == Code.LIMIT_EXCEEDED
    assert len(world.town.grants) == 5


AGENT = "system:serviceaccount:agents:helper"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("dave", {}, "may `use` agentroles/helper, so somebody else approves for it"),
    ("alice", {}, "is by who asked for the task, made it, or made the Grant"),
    ("mona", {}, "is by who asked for the task, made it, or made the Grant"),
    ("erin", {}, "may not `approve` for agentroles/helper or its rule comment"),
    (BROKER, {}, "is by who asked for the task, made it, or made the Grant"),
    (AGENT, {}, "is by a service account of a namespace in which agents run"),
    ("bob", {"digest": "sha256:" + "1" * 64}, "names another digest than the Grant"),
    (
        "carol",
        {"at": "2020-01-01T00:00:00Z"},
        "is older than the Grant: it answered another of its name",
    ),
]


@pytest.mark.parametrize("decision", ["Approve", "Deny"])
async def test_whose_answer_does_not_count(world: World, decision: str) -> None:
    """Each is refused once, with its reason, whatever verb RBAC gives them, and neither yes nor no counts."""
    world.town.verbs |= {name: {"approve"} for name in (BROKER, AGENT, "mona")}
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        found = [approval(grant, user, decision, **dict(changes)) for user, changes, _ in REFUSED]
        states = {await answer(world, grant, *found) for _ in range(2)}
    refused = {(item["user"], item["detail"]) for item in bodies(world, "approval.refused")}

    assert states == {"pending"}
    assert refused == {(user, detail) for user, _, detail in REFUSED}
    assert len(bodies(world, "approval.refused")) == len(REFUSED)


async def test_an_answer_that_nobody_could_judge_is_judged_later(world: World) -> None:
    """While the API server does not answer, nothing is known about whoever answered."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        world.town.down = True
        unknown = await denied(answer(world, grant, approval(grant, "bob")))
        world.town.down = False
        await settle(world, grant)

    assert unknown.code == Code.UNAVAILABLE
    assert [item["user"] for item in bodies(world, "approval.recorded")] == ["bob"]


async def test_nobody_is_counted_for_a_task_that_is_not_known(world: World) -> None:
    """Whoever made it could be among them."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        world.tell(resources.AGENT_TASKS, world.town.tasks[NAMESPACE, "fix-1"], gone=True)
        state = await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))

    assert (state, bodies(world, "approval.recorded")) == ("pending", [])


async def test_one_no_is_enough(world: World) -> None:
    """Also before the others have answered."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        state = await answer(world, grant, approval(grant, "bob", "Deny"), approval(grant, "carol"))
        refusal = await denied(door.decide("code", "issue.comment", ARGS))

    assert (state, refusal.code) == ("denied", Code.APPROVAL_DENIED)
    assert refusal.members["grant"] == grant["metadata"]["name"]


async def test_deleting_an_approval_changes_nothing(world: World) -> None:
    """It was counted; what takes something back is a Revocation."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        found = approval(grant, "bob")
        await answer(world, grant, found)
        world.tell(resources.APPROVALS, found, gone=True)

        assert await answer(world, grant, approval(grant, "carol")) == "active"


async def test_what_has_drifted_is_stale_for_good(world: World) -> None:
    """At once for the agent, and after a moment in the Grant; changing it back does not help."""
    now = 0.0
    world.broker.clerk.monotonic = lambda: now
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))
        world.tell(resources.AGENT_ROLES, role(**RULE, limits={"perTask": 9}))
        at_once = await denied(door.decide("code", "issue.comment", ARGS))
        before = await settle(world, grant)
        now += DRIFT_SECONDS
        after = await settle(world, grant)
        world.tell(resources.AGENT_ROLES, role(**RULE))
        replayed = await denied(door.decide("code", "issue.comment", ARGS))

    assert (before, after) == ("active", "stale")
    assert (at_once.code, replayed.code) == (Code.GRANT_STALE, Code.GRANT_STALE)


async def test_a_change_that_is_only_not_known_here_yet_is_no_drift(world: World) -> None:
    """Watches of several kinds, and those of several brokers, are not equally fast."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        world.tell(resources.AGENT_ROLES, role(**RULE, limits={"perTask": 9}))
        await settle(world, grant)
        world.tell(resources.AGENT_ROLES, role(**RULE))
        world.broker.clerk.monotonic = lambda: 10**9

        assert await settle(world, grant) == "pending"


async def test_what_another_broker_heard_is_no_drift_while_a_watch_of_ours_is_broken(world: World) -> None:
    """It asked under a role that has not come here; only news that is current can tell a drift."""
    now, behind = 0.0, 2.0
    world.broker.clerk.monotonic = lambda: now
    world.broker.heartbeat.behind = lambda: behind
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        world.tell(resources.AGENT_ROLES, role(**RULE, limits={"perTask": 9}))
        blind = []
        for _ in range(2):
            blind.append(await settle(world, grant))
            now += DRIFT_SECONDS
        behind = 0.0
        first = await settle(world, grant)
        now += DRIFT_SECONDS

        assert [*blind, first, await settle(world, grant)] == ["pending", "pending", "pending", "stale"]


def by_hand(author: str, digest: str, **spec: Any) -> Object:
    """A Grant that somebody made."""
    body = {
        "task": {"name": "fix-1", "uid": "fix-1-uid"},
        "role": {"name": "helper", "uid": "role-uid"},
        "rule": "comment",
        "connector": "code",
        "action": "issue.comment",
        "digest": digest,
        "summary": "A comment.",
        "author": author,
        **spec,
    }
    metadata = {
        "name": "by-hand",
        "namespace": NAMESPACE,
        "uid": "by-hand-uid",
        "creationTimestamp": stamp(system()),
    }
    return {"apiVersion": GROUP, "kind": "Grant", "metadata": metadata, "spec": body}


async def digest_of_the_comment(world: World, door: Door) -> str:
    """What the broker computes; the Grant that says so is deleted."""
    grant = await asked(world, door)
    world.tell(resources.GRANTS, grant, gone=True)
    await settle(world, grant)
    return str(grant["spec"]["digest"])


async def test_a_person_may_ask_before_the_agent_does(world: World) -> None:
    """It takes as many people as the rule demands, whatever its author wrote, and not its author."""
    world.town.verbs["frank"] = {"approve"}
    async with world.door() as door:
        await opened(world, door)
        grant = by_hand("frank", await digest_of_the_comment(world, door), quorum=1)
        world.tell(resources.GRANTS, grant)
        own = await answer(world, grant, approval(grant, "frank"))
        one = await answer(world, grant, approval(grant, "bob"))
        too_few = await denied(door.decide("code", "issue.comment", ARGS))
        await answer(world, grant, approval(grant, "carol"))
        decision = await door.decide("code", "issue.comment", ARGS)

    assert (own, one, too_few.code) == ("pending", "active", Code.APPROVAL_PENDING)
    assert decision.capability


async def test_a_grant_in_the_brokers_name_that_it_did_not_make_permits_nothing(world: World) -> None:
    """Whoever wrote it, whatever they answered."""
    async with world.door() as door:
        await opened(world, door)
        grant = by_hand(BROKER, await digest_of_the_comment(world, door), quorum=1)
        world.tell(resources.GRANTS, grant)
        state = await answer(world, grant, approval(grant, "bob"))
        refusal = await denied(door.decide("code", "issue.comment", ARGS))

    assert (state, refusal.code) == ("stale", Code.GRANT_STALE)


async def test_a_deleted_grant_lets_the_agent_ask_anew(world: World) -> None:
    """Answers to the first are none to the second, though it has the same name and digest."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        old = approval(grant, "bob")
        await answer(world, grant, old, approval(grant, "carol"))
        world.tell(resources.GRANTS, grant, gone=True)
        gone = await settle(world, grant)
        world.town.made_at = stamp(system() + 5)
        anew = await asked(world, door)

        assert anew["metadata"]["name"] == grant["metadata"]["name"]
        assert (gone, await settle(world, anew)) == ("revoked", "pending")


async def test_a_grant_is_not_gone_before_the_watch_has_told_of_it(world: World) -> None:
    """It is in the ledger as soon as it is made; only a live look says that it was deleted."""
    async with world.door() as door:
        await opened(world, door)
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        name = str(refusal.members["grant"])
        grant = world.town.grants[NAMESPACE, name]
        early = await settle(world, grant)
        del world.town.grants[NAMESPACE, name]
        late = await settle(world, grant)

    assert (early, late) == ("pending", "revoked")


async def test_a_grant_that_has_gone_does_not_come_back_in_place_of_the_next(world: World) -> None:
    """Another broker heard of the end first and asked again; our watch still shows the one before."""
    async with world.door() as door:
        await opened(world, door)
        before = await asked(world, door)
        await world.ledger.gone(before["metadata"]["uid"])
        del world.town.grants[NAMESPACE, before["metadata"]["name"]]
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        after = world.town.grants[NAMESPACE, str(refusal.members["grant"])]
        early = await settle(world, before)
        known = world.ledger.reader.grant(NAMESPACE, after["metadata"]["name"])
        world.tell(resources.GRANTS, after)

        assert known is not None
        assert (known.uid, early) == (after["metadata"]["uid"], "pending")
        assert await settle(world, after) == "pending"


async def test_silence_is_denial(world: World) -> None:
    """The time to answer is the ledger's; the sweep tells everybody."""
    told = []
    world.broker.clerk.tell = lambda row: told.append(row.state)
    async with world.door() as door:
        await opened(world, door)
        world.town.made_at = stamp(system() - 3600)
        refusal = await denied(door.decide("code", "issue.comment", ARGS))
        await world.broker.clerk.sweep()

    assert refusal.code == Code.GRANT_EXPIRED
    assert told == ["pending", "expired"]


async def test_a_door_hears_of_the_grants_of_its_own_task_only(world: World) -> None:
    """Of others' it is told the same as of those that do not exist."""
    async with world.door() as door, world.door() as other:
        await opened(world, door)
        await opened(world, other, "fix-2")
        name = (await asked(world, door))["metadata"]["name"]
        mine = await door.grant(name, 0)
        codes = [(await denied(each)).code for each in (other.grant(name, 0), door.grant("nothing", 0))]

    assert (mine.state, mine.approvals, mine.quorum) == ("pending", 0, 2)
    assert codes == [Code.UNKNOWN_ACTION, Code.UNKNOWN_ACTION]


async def test_waiting_ends_when_people_have_answered(world: World) -> None:
    """Long before the time that the door would have waited."""
    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        waiting = asyncio.ensure_future(door.grant(grant["metadata"]["name"], 60))
        await until(lambda: bool(world.broker.clerk._bells))
        await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))

        assert (await waiting).state == "active"


@pytest.mark.parametrize(
    "query", ["wait=61", "wait=-1", "wait=1.5", "wait=", "wait=5&wait=6", "x=1", "wait=\u0661"]
)
def test_another_wait_is_malformed(query: str) -> None:
    """0 to 60 seconds, written as a number."""
    with pytest.raises(Refusal) as caught:
        parse_wait(query)

    assert caught.value.code == Code.MALFORMED
    assert (parse_wait(""), parse_wait("wait=0"), parse_wait("wait=60")) == (0.0, 0.0, 60.0)


async def test_people_may_answer_while_the_broker_is_away(tmp_path: Path) -> None:
    """Everything is in the ledger and in the cluster: a new process needs nothing of the old one."""
    async with settled(tmp_path, RULE) as world, world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        key, session = door._key, door._session
    async with settled(tmp_path, RULE) as world, world.door(key) as door:
        world.town.verbs.update(YES)
        door._session = session
        world.run_task()
        world.tell(resources.GRANTS, grant)
        await answer(world, grant, approval(grant, "bob"), approval(grant, "carol"))
        await world.prove(door)

        assert (await door.decide("code", "issue.comment", ARGS)).capability


async def test_a_ledger_that_cannot_be_read_ends_nothing(world: World) -> None:
    """The clerk goes on, and what it could not look at is looked at once the ledger is back."""
    clerk, engine = world.broker.clerk, world.ledger.reader._engine

    def rename(old: str, new: str) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    async with world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
        rename("grants", "away")
        running = asyncio.ensure_future(clerk.run(lambda: True))
        await until(lambda: clerk.failures)
        rename("away", "grants")
        world.tell(resources.GRANTS, grant, gone=True)
        name = str(grant["metadata"]["name"])
        await until(lambda: getattr(world.ledger.reader.grant(NAMESPACE, name), "state", "") == "revoked")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_was_deleted_while_the_broker_was_away_is_taken_back(tmp_path: Path) -> None:
    """A Grant that is in the ledger and not in the cluster was deleted."""
    async with settled(tmp_path, RULE) as world, world.door() as door:
        await opened(world, door)
        grant = await asked(world, door)
    async with settled(tmp_path, RULE) as world:
        running = asyncio.ensure_future(world.broker.clerk.run(lambda: True))
        found = [NAMESPACE, str(grant["metadata"]["name"])]

        def state() -> str:
            row = world.ledger.reader.grant(*found)
            assert row is not None
            return row.state

        await until(lambda: state() == "revoked")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_child_is_approved_like_its_parent(world: World) -> None:
    """A Grant of a task that another task started is settled under the policy of both."""
    world.town.verbs["bob"] = {"approve"}
    lead = role()
    lead["metadata"] |= {"name": "lead", "uid": "lead-uid"}
    world.tell(resources.AGENT_ROLES, lead)
    async with world.door() as parent, world.door() as child:
        await parent.open(world.run_task("lead-1", role="lead"))
        await child.open(world.run_task("fix-1", parent={"name": "lead-1", "uid": "lead-1-uid"}))
        await world.prove(child)
        grant = await asked(world, child)
        states = [await answer(world, grant, approval(grant, user)) for user in ("bob", "carol")]
        decision = await child.decide("code", "issue.comment", ARGS)

    assert states == ["pending", "active"]
    assert decision.capability
