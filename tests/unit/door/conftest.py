"""A real door and a real connector between a stand-in broker and a forge, all in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from rigs import DoorRig, door_rig


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def door_of(authority: Authority, tmp_path: Path) -> Callable[..., Any]:
    """Build a door; arguments as for `connector_rig`."""
    return partial(door_rig, authority, tmp_path)


@pytest.fixture
async def door(door_of: Callable[..., Any]) -> AsyncIterator[DoorRig]:
    async with door_of() as built:
        yield built
