"""What pods were rendered with lately is remembered as long as a task can run, and no longer."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigError
from doorward.render import RenderSettings
from doorward.render.history import KEPT, MAX_ENTRIES, OVERLAP, History

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
IP = "10.96.0.10"
FIRST = RenderSettings("door:1", "10.96.0.1", CA, node_selector={"pool": "agents"}, priority=3)
SECOND = dataclasses.replace(FIRST, door_image="door:2")


def images(history: History, made: datetime) -> list[str]:
    """Images of the sidecar that a pod of that time may have."""
    return [settings.door_image for settings in history.at(made, IP)]


def test_settings_come_back_as_they_were() -> None:
    """Every member, so that other defaults of a later release change nothing; the address is today's."""
    history = History.parse(History().recorded(FIRST, NOON).text())

    assert history.at(NOON, IP) == (dataclasses.replace(FIRST, broker_ip=IP),)
    assert set(FIRST.document()) | {"caPem", "brokerIp", "priorityClassName"} == {
        "".join(part.capitalize() if at else part for at, part in enumerate(field.name.split("_")))
        for field in dataclasses.fields(RenderSettings)
    }


def test_writing_the_same_again_is_no_write() -> None:
    """A round with nothing new leaves the object alone."""
    history = History().recorded(FIRST, NOON)

    assert history.recorded(FIRST, NOON + timedelta(hours=9)) is history


def test_a_new_bundle_alone_is_an_entry_of_its_own() -> None:
    """The bundle is written into pods like everything else."""
    rotated = dataclasses.replace(FIRST, ca_pem=CA + CA)
    history = History().recorded(FIRST, NOON).recorded(rotated, NOON)

    assert [settings.ca_pem for settings in history.at(NOON, IP)] == [CA + CA, CA]


def test_replaced_settings_fit_pods_from_before_only() -> None:
    """A pod made later than the overlap was made by somebody who should have known."""
    upgrade = NOON + timedelta(hours=1)
    history = History().recorded(FIRST, NOON).recorded(SECOND, upgrade)

    assert images(history, NOON) == ["door:2", "door:1"]
    assert images(history, upgrade + OVERLAP) == ["door:2", "door:1"]
    assert images(history, upgrade + OVERLAP + timedelta(seconds=1)) == ["door:2"]


def test_what_no_task_can_have_any_more_is_forgotten() -> None:
    """The longest deadline is a day."""
    history = History().recorded(FIRST, NOON).recorded(SECOND, NOON)
    kept, gone = (history.recorded(SECOND, NOON + age) for age in (KEPT - timedelta(seconds=1), KEPT))

    assert timedelta(hours=24) + OVERLAP <= KEPT
    assert (len(kept.entries), len(gone.entries)) == (2, 1)


def test_a_hundred_upgrades_a_day_are_bounded() -> None:
    """The object stays far below what a ConfigMap can hold; the latest are kept."""
    history = History()
    for number in range(100):
        history = history.recorded(dataclasses.replace(FIRST, door_image=f"door:{number}"), NOON)

    assert len(history.entries) == MAX_ENTRIES
    assert images(history, NOON)[0] == "door:99"
    assert len(history.text()) < 100_000


def test_going_back_is_in_force_again() -> None:
    """After a roll-back the older settings are current and the newer ones end."""
    history = History().recorded(FIRST, NOON).recorded(SECOND, NOON).recorded(FIRST, NOON)

    assert [entry.until is None for entry in history.entries] == [True, False, False]


def test_an_entry_of_another_release_is_left_out_and_kept() -> None:
    """A member that this release does not know is no reason to lose what it does know."""
    raw = json.loads(History().recorded(FIRST, NOON).recorded(SECOND, NOON).text())
    raw["entries"][1]["render"]["memberOfAnotherRelease"] = 1
    history = History.parse(json.dumps(raw))

    assert images(history, NOON) == ["door:2"]
    assert len(history.recorded(SECOND, NOON).entries) == 2


ENTRY = {"since": "2026-11-21T12:00:00+00:00", "until": None, "render": {}, "ca": CA}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"entries": 3}',
        '{"entries": [3]}',
        '{"entries": [], "entries": []}',
        *(
            json.dumps({"entries": [{**ENTRY, **change}]})
            for change in (
                {"since": "yesterday"},
                {"since": "2026-11-21T12:00:00"},
                {"until": 3},
                {"render": []},
                {"ca": None},
            )
        ),
    ],
)
def test_what_cannot_be_read_is_refused_as_a_whole(text: str) -> None:
    """The readers then believe the current settings alone."""
    with pytest.raises(ConfigError, match=r"history\.json"):
        History.parse(text)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90_000)), max_size=12))
def test_a_pod_of_the_last_day_always_finds_its_settings(steps: list[tuple[str, int]]) -> None:
    """However often settings change: what was in force when the pod was made is known while it can run."""
    history, now = History(), NOON
    made: list[tuple[datetime, str]] = []
    for image, pause in steps:
        now += timedelta(seconds=pause)
        history = history.recorded(dataclasses.replace(FIRST, door_image=image), now)
        made.append((now, image))
        alive = [(at, name) for at, name in made if now - at < timedelta(hours=24)]

        assert [name for at, name in alive if name not in images(history, at)] == []
        assert [entry.until is None for entry in history.entries].count(True) == 1
