"""Keys stay fresh and outcomes get told, however often the broker is silent."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from standin import signing_keys

from doorward.connectors import caveats
from doorward.connectors.broker import Outcome
from doorward.connectors.keyring import Keyring, Keys
from doorward.connectors.outcomes import CAPACITY, Outcomes
from doorward.core.action import Action
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

OUTCOME = Outcome("redemption-1", "succeeded", 201, (), 3, sent=True)


class Hearing:
    """A broker that is deaf as often as it is told to be."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.heard: list[Outcome] = []
        self.all = asyncio.Event()

    async def __call__(self, outcome: Outcome) -> None:
        """Hear the outcome, or fail as told."""
        if self.faults:
            raise self.faults.pop(0)
        self.heard.append(outcome)
        self.all.set()


@pytest.mark.parametrize("fault", [aiohttp.ServerDisconnectedError(), TimeoutError(), ConnectionResetError()])
async def test_what_is_not_heard_is_told_again(fault: Exception) -> None:
    """The background work repeats an outcome until the broker acknowledges it, and then once no more."""
    broker = Hearing(fault, fault, Refusal(Code.UNAVAILABLE, "starting"))
    outcomes = Outcomes(broker, first_delay=0.0)
    work = asyncio.create_task(outcomes.run())

    await outcomes.tell(OUTCOME)
    await asyncio.wait_for(broker.all.wait(), 5)

    assert (broker.heard, outcomes.waiting) == ([OUTCOME], 0)
    work.cancel()


async def test_what_is_refused_for_good_is_dropped() -> None:
    """An outcome that the broker will never take does not block those behind it."""
    outcomes = Outcomes(Hearing(Refusal(Code.CAPABILITY_INVALID, "not yours")))

    await outcomes.tell(OUTCOME)

    assert outcomes.waiting == 0


async def test_what_cannot_be_told_is_not_done() -> None:
    """With the memory of untold outcomes full, new actions are refused before anything is spent."""
    outcomes = Outcomes(Hearing(*[TimeoutError()] * CAPACITY))
    for _ in range(CAPACITY):
        outcomes.check_room()
        await outcomes.tell(OUTCOME)

    with pytest.raises(Refusal) as caught:
        outcomes.check_room()

    assert caught.value.code == Code.UNAVAILABLE


class Publishing:
    """A broker's key set, fetched and counted."""

    def __init__(self) -> None:
        self.keys: Keys | None = signing_keys().public
        self.fetches = 0

    async def __call__(self) -> Keys:
        """The keys, or a no while there are none."""
        self.fetches += 1
        if self.keys is None:
            raise Refusal(Code.UNAVAILABLE, "starting")
        return self.keys


async def test_old_keys_stay_while_the_broker_is_away() -> None:
    """A broker that does not answer takes no key away."""
    broker = Publishing()
    ring = Keyring(broker)
    await ring.refresh()
    known, broker.keys = broker.keys, None

    assert (await ring.refresh(), ring.keys) == (False, known)


async def test_unknown_keys_cause_few_fetches() -> None:
    """However many unknown keys are presented, the broker is asked once in five seconds."""
    now = [100.0]
    broker = Publishing()
    ring = Keyring(broker, lambda: now[0])
    for _ in range(10):
        await ring.refresh_eagerly()
    now[0] += 5
    broker.keys = signing_keys().public

    assert (await ring.refresh_eagerly(), broker.fetches) == (True, 2)


ACTION = Action("code", "issue.read", {"repository": "acme/web", "issue": 7}, {})


@pytest.mark.parametrize(
    "held",
    [{}, {"resource": {}}, {"resource": {"repository": ["acme/web"], "issue": [7, 8]}}],
)
def test_caveats_that_hold_let_pass(held: dict[str, Json]) -> None:
    """An action within every caveat is carried out."""
    caveats.check(held, ACTION)


@pytest.mark.parametrize(
    "broken",
    [
        {"resource": {"repository": ["acme/door"]}},
        {"resource": {"branch": ["main"]}},
        {"resource": {"issue": ["7"]}},
        {"resource": {"repository": "acme/web"}},
        {"resource": []},
        {"resource": {}, "phaseOfMoon": "full"},
    ],
)
def test_caveats_that_do_not_hold_refuse(broken: dict[str, Json]) -> None:
    """Another value, an attribute the action does not have, or an unknown caveat refuses."""
    with pytest.raises(Refusal) as caught:
        caveats.check(broken, ACTION)

    assert caught.value.code == Code.CAVEAT_FAILED
