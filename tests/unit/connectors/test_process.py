"""A connector starts with the right settings only, and says which one is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import aiohttp
import pytest
from authority import Authority
from standin import ISSUER, TOKEN, Broker, Holder
from upstream import Forge
from waiting import until

from doorward.connectors import broker as broker_client
from doorward.connectors.process import DRAIN_SECONDS, serve
from doorward.connectors.settings import Settings
from doorward.connectors.upstream import CONNECT_SECONDS
from doorward.core import settings
from doorward.errors import ConfigError
from doorward.tokens import capability, proof


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


async def test_what_runs_is_finished_even_if_nobody_waits_for_it(
    environ: dict[str, str], authority: Authority
) -> None:
    """After SIGTERM an action whose caller hung up goes on to its end, and the broker hears of it."""
    broker, forge, holder = Broker(), Forge(hold=asyncio.Event()), Holder()
    async with (
        broker.listening(authority) as url,
        forge.listening(authority.server("forge.test").context) as upstream,
    ):
        changes = {"DOORWARD_BROKER_URL": url, "DOORWARD_UPSTREAM": upstream, "DOORWARD_ISSUER": ISSUER}
        process = subprocess.Popen(  # noqa: ASYNC220 - watched by its output
            [sys.executable, "-m", "doorward.connectors"],
            env={**os.environ, **environ, **changes},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            port = await _said(process, "listening", "port")
            tls = ssl.create_default_context(cafile=authority.bundle_file)
            caller = asyncio.create_task(_comment(port, tls, broker, holder))
            await until(lambda: forge.seen or caller.done())
            caller.cancel()
            await asyncio.wait({caller})
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionError):  # refused, or reset when it closed meanwhile
                await _closed(port)
            assert process.poll() is None
            forge.hold.set()  # type: ignore[union-attr]
        finally:
            process.terminate()
            await asyncio.to_thread(process.communicate)

    assert [told["outcome"] for told in broker.outcomes] == ["succeeded"]
    assert process.returncode == 0


def test_there_is_time_to_finish_the_slowest_action() -> None:
    """What each step may take at most, added up, is less than what a connector waits for before it ends."""
    (upstream,) = [each.default for each in fields(Settings) if each.name == "upstream_seconds"]
    redeem, tell = broker_client.ATTEMPTS * broker_client.SECONDS, broker_client.SECONDS

    assert redeem + CONNECT_SECONDS + upstream + tell < DRAIN_SECONDS


async def _comment(port: int, tls: ssl.SSLContext, broker: Broker, holder: Holder) -> None:
    args = {"owner": "acme", "repo": "web", "number": 7, "body": "Found it: the hinge."}
    permit = broker.permit("code", "issue.comment", args)
    token = broker.mint(permit, holder.thumbprint)
    body = {"connector": "code", "action": "issue.comment", "args": args, "attachments": []}
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", capability.HEADER: token}
    headers[proof.HEADER] = holder.prove(data, token)
    async with aiohttp.ClientSession() as http:
        await http.post(f"https://127.0.0.1:{port}/v1/actions", ssl=tls, data=data, headers=headers)


async def _closed(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()


async def _said(process: subprocess.Popen[str], event: str, member: str) -> int:
    """The number that a line of the log has under `member`. Raises `AssertionError` if it never comes."""

    def read() -> int:
        for line in process.stdout or ():
            found = json.loads(line)
            if found["event"] == event:
                return int(found[member])
        msg = f"the process ended without saying {event}"
        raise AssertionError(msg)

    return await asyncio.wait_for(asyncio.to_thread(read), 20)


def _read_until_listening(process: subprocess.Popen[str], lines: list[str]) -> None:
    for line in process.stdout or ():
        lines.append(line)
        if '"listening"' in line:
            return
