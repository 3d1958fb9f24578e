"""A credential is a file, followed and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorward.connectors import credentials
from doorward.errors import Code, ConfigError, Refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text("first-secret\n")
    return found


def test_the_value_is_the_file_without_its_line_end(path: Path) -> None:
    """Editors and `kubectl create secret --from-file` add a newline; it is not part of a token."""
    assert credentials.load(path).current().reveal() == "first-secret"


def test_a_change_is_seen_at_the_next_use(path: Path) -> None:
    """A rotated Secret is a replaced file, found without being told."""
    credential = credentials.load(path)
    (path.parent / "new").write_text("second-secret")
    (path.parent / "new").rename(path)

    assert credential.current().reveal() == "second-secret"


def test_a_vanished_file_is_not_remembered(path: Path) -> None:
    """A credential that was taken away is not used any more."""
    credential = credentials.load(path)
    path.unlink()

    with pytest.raises(Refusal) as caught:
        credential.current()

    assert caught.value.code == Code.UNAVAILABLE


@pytest.mark.parametrize(
    "text", ["", "\n", "two words", "line\r\nbreak", "smuggled\r\nX-Admin: 1", "t\u00f6ken"]
)
def test_what_cannot_be_a_header_is_no_credential(path: Path, text: str) -> None:
    """A file that would write another header, or nothing, stops the start; the text is not shown."""
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        credentials.load(path)

    assert str(path) in str(caught.value)
    assert "smuggled" not in str(caught.value)


def test_it_never_shows(path: Path) -> None:
    """Neither its text nor its repr holds the value."""
    credential = credentials.load(path)

    assert "first-secret" not in f"{credential!r} {credential.current()} {credential.current()!r}"
