"""Conditions over what happened before, from the ledger into the decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from town import World, role, settled

from doorward.errors import Code, Refusal
from doorward.kube import resources

QUERY = {"name": "triage", "connector": "code", "actions": ["issue.query"]}
READ = {
    "name": "read",
    "connector": "code",
    "actions": ["issue.read"],
    "when": (
        "references.exists(r, r.action == 'issue.query' && r.kind == 'issue' "
        "&& r.id == string(resource.issue) && r.resource.repository == resource.repository) "
        "&& usage.rules.read < 2"
    ),
}
SEEN = {"owner": "acme", "repo": "web", "number": 7}


async def tried(door: Any, action: str, args: dict[str, Any]) -> Code | str:
    """The capability, or the code of the no."""
    try:
        return str((await door.decide("code", action, args)).capability)
    except Refusal as refusal:
        return refusal.code


async def carried_out(world: World, capability: str, *ids: str, outcome: str = "succeeded") -> None:
    """Spend the capability and report what it showed."""
    token = world.hands_token()
    _, spent = await world.redeem(capability, token)
    references = [{"kind": "issue", "id": number} for number in ids]
    report = {"redemption": spent["redemption"], "outcome": outcome, "references": references}
    await world.call_hands("/v1/outcomes", {**report, "status": 200, "bytes": 1, "sent": True}, token)


async def asked(world: World, *, outcome: str = "succeeded") -> list[Code | str]:
    """What reading comes to: before the query, of what it showed, of another, elsewhere, and too often."""
    world.tell(resources.AGENT_ROLES, {**role(), "spec": {**role()["spec"], "rules": [QUERY, READ]}})
    async with world.door() as door:
        await door.open(world.run_task())
        await world.prove(door)
        before = await tried(door, "issue.read", SEEN)
        query = await tried(door, "issue.query", {"owner": "acme", "repo": "web"})
        await carried_out(world, query, "7", outcome=outcome)
        seen = await tried(door, "issue.read", SEEN)
        other = await tried(door, "issue.read", {**SEEN, "number": 8})
        elsewhere = await tried(door, "issue.read", {**SEEN, "repo": "api"})
        return [before, seen, other, elsewhere]


async def test_an_agent_reads_what_its_query_showed(tmp_path: Path) -> None:
    """An issue that the permitted query returned may be read; no other, and none of another repository."""
    async with settled(tmp_path) as world:
        before, seen, other, elsewhere = await asked(world)

    assert [before, other, elsewhere] == [Code.CONDITION_FALSE] * 3
    assert seen not in list(Code)


async def test_what_a_failed_query_names_was_not_shown(tmp_path: Path) -> None:
    """Only actions that succeeded show something."""
    async with settled(tmp_path) as world:
        _, seen, _, _ = await asked(world, outcome="unknown")

    assert seen == Code.CONDITION_FALSE


async def test_another_roles_outcome_opens_an_action(tmp_path: Path) -> None:
    """A task of role helper comments on what a task of role reviewer has commented on, and not before."""
    both = {"actions": ["issue.comment"], "when": "outcomesOf('reviewer').exists(o, o.status == 'succeeded')"}
    args = {**SEEN, "body": "hello"}
    async with settled(tmp_path, rule=both) as world:
        reviewer = role()
        world.tell(
            resources.AGENT_ROLES, {**reviewer, "metadata": {**reviewer["metadata"], "name": "reviewer"}}
        )
        async with world.door() as helper, world.door() as other:
            await helper.open(world.run_task())
            await world.prove(helper)
            before = await tried(helper, "issue.comment", args)
            await other.open(world.run_task("review-1", role="reviewer"))
            await world.prove(other)
            await carried_out(world, await tried(other, "issue.comment", args))
            after = await tried(helper, "issue.comment", args)
            elsewhere = await tried(helper, "issue.comment", {**args, "number": 8})

    assert [before, elsewhere] == [Code.CONDITION_FALSE] * 2
    assert after not in list(Code)
