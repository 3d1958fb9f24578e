"""Render settings are read again and again, and those just replaced stay good for a while."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorward.render import History, RenderSettings
from doorward_webhooks.admission.renderings import OVERLAP_SECONDS, Renderings

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = RenderSettings("door:1", "10.96.0.1", CA)


class World:
    """The files, the broker's address and the time; tests change them."""

    def __init__(self, folder: Path) -> None:
        self.now, self.address = 100.0, "10.96.0.10"
        self.render, self.ca = folder / "render.json", folder / "ca.crt"
        self.write("door:1")
        self.ca.write_text(CA)
        self.history = folder / "history.json"
        self.history.write_text("")
        self.start()

    def start(self) -> None:
        """A process that remembers nothing."""
        self.renderings = Renderings(
            self.render,
            self.ca,
            self.history,
            "",
            resolve=lambda _: self.resolved(),
            clock=lambda: self.now,
            now=lambda: NOON + timedelta(seconds=self.now),
        )

    def write(self, image: str) -> None:
        """Render with another sidecar from now on."""
        self.render.write_text(json.dumps({"doorImage": image}))

    def resolved(self) -> str:
        """The broker's address, or `OSError` when there is none."""
        if not self.address:
            raise OSError
        return self.address

    def images(self) -> list[str]:
        """Images of the sidecar that are accepted now."""
        return [settings.door_image for settings in self.renderings.current()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_before_the_first_reading_there_is_nothing(world: World) -> None:
    """Nothing is admitted by guesswork."""
    assert list(world.renderings.current()) == []


def test_the_brokers_address_is_looked_up(world: World) -> None:
    """Task pods have no DNS, so the address is part of what is rendered."""
    assert world.renderings.refresh() is True
    assert [settings.broker_ip for settings in world.renderings.current()] == ["10.96.0.10"]


def test_replaced_settings_are_accepted_for_a_while(world: World) -> None:
    """The operator's kubelet may bring the new file later than ours, or earlier."""
    world.renderings.refresh()
    world.write("door:2")
    world.renderings.refresh()
    soon = world.images()
    world.now += OVERLAP_SECONDS + 1

    assert (soon, world.images()) == (["door:2", "door:1"], ["door:2"])


def test_going_back_and_forth_accepts_both_once(world: World) -> None:
    """A roll-back in the middle of a roll-out leaves no doubles."""
    for image in ("door:1", "door:2", "door:1"):
        world.write(image)
        world.renderings.refresh()

    assert world.images() == ["door:1", "door:2"]


def test_reading_the_same_again_changes_nothing(world: World) -> None:
    """The overlap is not prolonged by looking."""
    world.renderings.refresh()

    assert world.renderings.refresh() is False


@pytest.mark.parametrize("fault", ["render", "ca", "address"])
def test_what_cannot_be_read_leaves_things_as_they_were(fault: str, world: World) -> None:
    """A file that is half written or a name that does not resolve is no reason to forget."""
    world.renderings.refresh()
    world.write("door:2")
    match fault:
        case "render":
            world.render.write_text("{")
        case "ca":
            world.ca.write_text("")
        case _:
            world.address = ""

    assert world.renderings.refresh() is False
    assert world.images() == ["door:1"]


@pytest.fixture
def upgraded(world: World) -> World:
    """From `door:1` to `door:2`, written down, and every process started anew."""
    upgrade = NOON + timedelta(seconds=world.now)
    second = dataclasses.replace(FIRST, door_image="door:2")
    world.history.write_text(History().recorded(FIRST, NOON).recorded(second, upgrade).text())
    world.write("door:2")
    world.start()
    world.renderings.refresh()
    return world


def test_a_restart_does_not_forget_what_was_replaced(upgraded: World) -> None:
    """The operator that has not been replaced yet makes its pods, as long as without a restart."""
    soon = upgraded.images()
    upgraded.now += OVERLAP_SECONDS + 1
    upgraded.renderings.refresh()

    assert (soon, upgraded.images()) == (["door:2", "door:1"], ["door:2"])


def test_remembered_settings_have_todays_address(upgraded: World) -> None:
    """The address of the broker is looked up, and was never written down."""
    assert {settings.broker_ip for settings in upgraded.renderings.current()} == {"10.96.0.10"}


@pytest.mark.parametrize("text", [None, "{", '{"entries": 3}'])
def test_without_a_history_the_current_settings_hold(text: str | None, upgraded: World) -> None:
    """A history that cannot be read opens nothing and closes nothing."""
    if text is None:
        upgraded.history.unlink()
    else:
        upgraded.history.write_text(text)
    upgraded.renderings.refresh()

    assert upgraded.images() == ["door:2"]


def test_a_history_alone_admits_nothing(world: World) -> None:
    """Without settings of today this replica is not ready, whatever it remembers."""
    world.history.write_text(History().recorded(FIRST, NOON).text())
    world.ca.write_text("")
    world.renderings.refresh()

    assert world.images() == []
