"""Render settings are read again and again, and those just replaced stay good for a while."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doorward_webhooks.admission.renderings import OVERLAP_SECONDS, Renderings

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class World:
    """The files, the broker's address and the time; tests change them."""

    def __init__(self, folder: Path) -> None:
        self.now, self.address = 100.0, "10.96.0.10"
        self.render, self.ca = folder / "render.json", folder / "ca.crt"
        self.write("door:1")
        self.ca.write_text(CA)
        self.renderings = Renderings(self.render, self.ca, "", lambda _: self.resolved(), lambda: self.now)

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
