"""A real connector on TLS between a stand-in broker and upstreams in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from rigs import Rig, connector_rig
from upstream import Talk, raw

RigOf = Callable[..., Any]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def rig_of(authority: Authority, tmp_path: Path) -> RigOf:
    """Build a rig; arguments as for `connector_rig`."""
    return partial(connector_rig, authority, tmp_path)


@pytest.fixture
def rig_facing(rig_of: RigOf, authority: Authority) -> RigOf:
    """Build a rig in front of an upstream that speaks bytes; gives rig and heads of requests."""

    @asynccontextmanager
    async def build(talk: Talk, **changes: Any) -> AsyncIterator[tuple[Rig, list[str]]]:
        tls = authority.server("raw.test").context
        async with raw(talk, tls) as (url, heads), rig_of(upstream=url, **changes) as rig:
            yield rig, heads

    return build


@pytest.fixture
async def rig(rig_of: RigOf) -> AsyncIterator[Rig]:
    async with rig_of() as built:
        yield built
