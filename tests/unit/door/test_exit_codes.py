"""What a sidecar's exit code says, and that nothing else can say the same."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from authority import Authority

from doorward.door.process import BREACHED, ENDED, REFUSED

_PAGE = Path(__file__).parents[3] / "docs" / "network.md"
_MISCONFIGURED = 2


async def test_a_traceback_is_no_breach(authority: Authority, tmp_path: Path) -> None:
    """A sidecar that breaks ends with a code that none of its findings has."""
    environ = {
        "DOORWARD_BROKER_URL": "https://127.0.0.1:1",
        "DOORWARD_CA_PEM": authority.bundle,
        "DOORWARD_READY_FILE": str(tmp_path),
        "DOORWARD_NODE_IP": "192.0.2.1",
        "KUBERNETES_SERVICE_HOST": "192.0.2.2",
    }
    found = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "doorward.door"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert "Traceback" in found.stderr
    assert found.returncode not in {ENDED, _MISCONFIGURED, REFUSED, BREACHED}


def test_the_page_has_every_code() -> None:
    """One line for each, the one for a traceback included."""
    section = _PAGE.read_text("utf-8").partition("## How a sidecar ends")[2].partition("\n## ")[0]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]

    assert codes == sorted({ENDED, 1, _MISCONFIGURED, REFUSED, BREACHED})
