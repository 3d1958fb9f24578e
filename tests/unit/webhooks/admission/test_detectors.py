"""Our table of credentials beside the detectors of a library that many repositories are searched with."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

from doorward_webhooks.admission import literals

VECTORS = Path(__file__).parents[3] / "vectors"
CREDENTIALS: list[dict[str, Any]] = json.loads((VECTORS / "literals.json").read_text())["credentials"]
LEFT: list[dict[str, str]] = tomllib.loads((VECTORS / "detectors.toml").read_text())["left"]


def patterns() -> set[tuple[str, str]]:
    """Each pattern of the library with its detector's name; empty for a detector that has none."""
    detectors = get_mapping_from_secret_type_to_class().values()
    return {
        (detector.__name__, pattern)
        for detector in detectors
        for pattern in [item.pattern for item in getattr(detector, "denylist", ())] or [""]
    }


def is_found(pattern: str) -> bool:
    """Whether a text that the pattern finds is found by us; one with a name is written as `NAME=text`."""
    asked = re.compile(pattern, re.IGNORECASE | re.VERBOSE if "\n" in pattern else re.IGNORECASE)
    for item in CREDENTIALS if pattern else ():
        text, called = "".join(item["parts"]), item.get("called", "")
        if asked.search(f"{called}={text}" if called else text) and list(literals.find(text, called)):
            return True
    return False


def is_left(item: dict[str, str], detector: str, pattern: str) -> bool:
    """Whether this is what the file says is left out."""
    part = item.get("part", "")
    return item["detector"] == detector and (part in pattern if part else not pattern)


def test_each_pattern_of_the_library_is_found_or_left_out_with_a_reason() -> None:
    """A newer library with more detectors fails here, and so does a form that is taken out of our table."""
    missing = {
        (detector, pattern)
        for detector, pattern in patterns()
        if not is_found(pattern) and not any(is_left(item, detector, pattern) for item in LEFT)
    }

    assert missing == set()


def test_nothing_is_left_out_that_is_found_or_gone() -> None:
    """Each entry is about exactly one pattern that we do not find, and says why not."""
    about = [
        [pattern for detector, pattern in patterns() if is_left(item, detector, pattern)] for item in LEFT
    ]

    assert [len(found) for found in about] == [1] * len(LEFT)
    assert [pattern for found in about for pattern in found if is_found(pattern)] == []
    assert [item for item in LEFT if not item["why"].strip()] == []
