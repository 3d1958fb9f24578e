"""What the broker tells people while others write the same status."""

from __future__ import annotations

import asyncio

import pytest
from bareapi import BareApi, serving
from town import RELEASE, task
from waiting import until

from doorward.broker.facts import Facts
from doorward.broker.grading import Standing
from doorward.broker.notices import Notices
from doorward.core.grade import Cause, Grade
from doorward.kube import Change, ChangeType, resources

FROZEN = Standing(Grade.FROZEN, Cause.FENCE_BREACH, "the pod reached the API server")


@pytest.mark.parametrize(
    ("phase", "meanwhile", "shown"),
    [("Running", None, "Frozen"), ("Failed", None, "Failed"), ("Running", "Failed", "Failed")],
)
async def test_a_task_that_is_over_stays_over_for_whoever_looks(
    phase: str, meanwhile: str | None, shown: str
) -> None:
    """A freeze that is told late, or while the operator tells of the end, takes no end back."""
    api, facts = BareApi(task()), Facts(RELEASE)
    api.put(phase=phase)
    facts.apply(resources.AGENT_TASKS, Change(ChangeType.PRESENT, task()))
    if meanwhile is not None:
        api.before_patch = lambda: api.put(phase=meanwhile)
    async with serving(api) as client:
        notices = Notices(client, facts)
        notices.graded("fix-1-uid", FROZEN)
        running = asyncio.create_task(notices.run())
        await until(lambda: "conduct" in api.found["status"])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert api.found["status"]["phase"] == shown
    assert api.found["status"]["conduct"]["grade"] == "Frozen"
