"""Lines that a machine can read and that hold no credential."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging
from doorward.telemetry import log
log.configure("door", "info")
log.get("doorward.door").info("sent", header="Bearer abcdefghijklmnop", nested={"key": ["ghp_" + "a" * 36]})
log.get("doorward.door").debug("not shown")
logging.getLogger("aiohttp").warning("for %s", "Basic abcdefghijklmnop")
"""


def test_every_line_names_its_part_and_room_and_no_credential() -> None:
    """Our lines and those of libraries are JSON, bound to the process, and masked however deep."""
    output = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout

    ours, theirs = (json.loads(line) for line in output.splitlines())
    assert (ours["part"], ours["room"], ours["level"]) == ("door", "doorward.door", "info")
    assert (ours["header"], ours["nested"]) == ("Bearer [redacted]", {"key": ["[redacted]"]})
    assert (theirs["part"], theirs["room"], theirs["event"]) == ("door", "aiohttp", "for Basic [redacted]")
