"""What the pod of a door may be rendered with: the files of now, and what was in force when it was made."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorward.broker.renderings import Renderings
from doorward.errors import ConfigError
from doorward.render import History, RenderSettings
from doorward.render.history import OVERLAP

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
UPGRADE = NOON + timedelta(hours=2)
FIRST = RenderSettings("door:1", "10.96.0.1", CA)
SECOND = dataclasses.replace(FIRST, door_image="door:2")


@pytest.fixture
def renderings(tmp_path: Path) -> Renderings:
    """After an upgrade from `door:1` to `door:2`."""
    (tmp_path / "render.json").write_text(json.dumps(SECOND.document()))
    (tmp_path / "ca.crt").write_text(CA)
    history = History().recorded(FIRST, NOON).recorded(SECOND, UPGRADE)
    (tmp_path / "history.json").write_text(history.text())
    return Renderings(*(tmp_path / name for name in ("render.json", "ca.crt", "history.json")), "10.96.0.1")


def test_a_pod_of_before_may_have_either(renderings: Renderings) -> None:
    """The current settings first: a refusal names the difference to them."""
    assert renderings(NOON) == [SECOND, FIRST]


def test_a_pod_of_after_may_not(renderings: Renderings) -> None:
    """Whoever still renders with replaced settings is not the operator."""
    assert renderings(UPGRADE + OVERLAP + timedelta(seconds=1)) == [SECOND]


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_without_a_history_the_current_settings_hold(text: str | None, renderings: Renderings) -> None:
    """Fewer pods are believed, never more."""
    if text is None:
        renderings.history_file.unlink()
    else:
        renderings.history_file.write_text(text)

    assert renderings(NOON) == [SECOND]


def test_without_settings_nothing_is_believed(renderings: Renderings) -> None:
    """The history does not stand in for them."""
    renderings.render_file.unlink()

    with pytest.raises(ConfigError, match="cannot be read"):
        renderings(NOON)
