"""A connector starts with the right settings only, and says which one is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from authority import Authority
from standin import TOKEN, Broker
from waiting import until

from doorward.connectors.process import serve
from doorward.connectors.settings import Settings
from doorward.core import settings
from doorward.errors import ConfigError


@pytest.fixture
def environ(authority: Authority, tmp_path: Path) -> dict[str, str]:
    """A complete environment, as the chart renders it."""
    (tmp_path / "credential").write_text("0123456789abcdef")
    (tmp_path / "token").write_text(TOKEN)
    certificate, key = authority.issue("doorward-connector-code.test")
    return {
        "DOORWARD_CONNECTOR": "code",
        "DOORWARD_AUDIENCE": "connector:code",
        "DOORWARD_UPSTREAM": "https://127.0.0.1:1/",
        "DOORWARD_UPSTREAM_CA": str(authority.bundle_file),
        "DOORWARD_CREDENTIAL_FILE": str(tmp_path / "credential"),
        "DOORWARD_BROKER_URL": "https://127.0.0.1:1",
        "DOORWARD_CA_FILE": str(authority.bundle_file),
        "DOORWARD_TOKEN_FILE": str(tmp_path / "token"),
        "DOORWARD_TLS_CERTIFICATE": str(certificate),
        "DOORWARD_TLS_KEY": str(key),
        "DOORWARD_LISTEN": "127.0.0.1:0",
        "DOORWARD_OPS_LISTEN": "127.0.0.1:0",
    }


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("DOORWARD_CONNECTOR_TYPE", "carrier-pigeon", "DOORWARD_CONNECTOR_TYPE"),
        ("DOORWARD_PROVIDER", "gitlab", "gitea, github"),
        ("DOORWARD_UPSTREAM", "http://forge.example", "DOORWARD_UPSTREAM_PLAINTEXT=true"),
        ("DOORWARD_UPSTREAM", "https://bot:word@forge.example", "DOORWARD_UPSTREAM"),
        ("DOORWARD_UPSTREAM", "https://forge.example/?x=1", "DOORWARD_UPSTREAM"),
        ("DOORWARD_UPSTREAM_CA", "/nowhere/ca.crt", "DOORWARD_UPSTREAM_CA"),
        ("DOORWARD_CA_FILE", "/nowhere/ca.crt", "DOORWARD_CA_FILE"),
        ("DOORWARD_CREDENTIAL_FILE", "/nowhere/token", "mount the upstream's token"),
        ("DOORWARD_LISTEN", "8443", "DOORWARD_LISTEN"),
    ],
)
async def test_a_wrong_setting_stops_the_start(
    environ: dict[str, str], variable: str, value: str, says: str
) -> None:
    """The message names the setting or its remedy."""
    with pytest.raises(ConfigError) as caught:
        await serve(settings.read(Settings, {**environ, variable: value}), asyncio.Event())

    assert says in str(caught.value)


async def test_the_process_serves_and_ends_on_sigterm(environ: dict[str, str], authority: Authority) -> None:
    """The program as the image runs it: it listens with TLS, refuses without a capability, and ends."""
    async with Broker().listening(authority) as url:
        command = [sys.executable, "-m", "doorward.connectors"]
        process = subprocess.Popen(  # noqa: ASYNC220 - watched by its output
            command,
            env={**os.environ, **environ, "DOORWARD_BROKER_URL": url},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            lines: list[str] = []
            reading = asyncio.create_task(asyncio.to_thread(_read_until_listening, process, lines))
            await asyncio.wait_for(reading, 20)
            port = int(lines[-1].split('"port": ')[1].split(",")[0].rstrip("}\n"))
            tls = ssl.create_default_context(cafile=authority.bundle_file)
            async with (
                aiohttp.ClientSession() as http,
                http.post(
                    f"https://127.0.0.1:{port}/v1/actions", ssl=tls, json={}, server_hostname="127.0.0.1"
                ) as response,
            ):
                assert (response.status, (await response.json(content_type=None))["code"]) == (
                    401,
                    "capability_invalid",
                )
        finally:
            process.send_signal(signal.SIGTERM)
            await until(lambda: process.poll() is not None)
            if process.stdout:
                process.stdout.close()
    assert process.returncode == 0


def _read_until_listening(process: subprocess.Popen[str], lines: list[str]) -> None:
    for line in process.stdout or ():
        lines.append(line)
        if '"listening"' in line:
            return
