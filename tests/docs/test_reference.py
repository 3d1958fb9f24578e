"""The documentation knows everything that the code offers."""

from __future__ import annotations

from pathlib import Path

from doorward.errors import Code
from doorward.telemetry.events import MEANING, Event
from reference import pages

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date() -> None:
    """Each setting, field, metric and event is in docs/reference with its sentence (`just fix`)."""
    current = {name: (ROOT / "docs/reference" / name).read_text() for name in pages.every()}

    assert current == pages.every()


def test_every_denial_code_is_explained() -> None:
    """docs/denials.md has a row for each code, with the status it is sent with, and no other."""
    rows = [
        line.split("|")[1:3]
        for line in (ROOT / "docs/denials.md").read_text().splitlines()
        if line.startswith("| `")
    ]

    assert [(code.strip(" `"), int(status)) for code, status in rows] == [(c.value, c.status) for c in Code]


def test_every_event_has_a_meaning() -> None:
    """No name is written to the ledger that nobody has explained."""
    assert set(MEANING) == set(Event)


def test_no_reference_row_is_silent() -> None:
    """A row without a sentence documents nothing."""
    silent = [
        line
        for text in pages.every().values()
        for line in text.splitlines()
        if line.startswith("| `") and not line.rstrip(" |").split("|")[-1].strip()
    ]

    assert silent == []


def test_the_readme_commands_are_what_ci_runs() -> None:
    """.ci/run calls the README's test command and nothing else."""
    readme = (ROOT / "README.md").read_text()
    commands = [
        line
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line and not line.startswith(("#", "set", "cd"))
    ]

    assert commands == ["exec ./hack/test"]
    assert "./hack/test " in readme
    assert "./hack/demo " in readme
