"""An upstream may do its worst: the credential stays here and nobody is told a story."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any
from urllib.parse import quote

import pytest
from authority import Authority
from upstream import raw, response, saying
from waiting import until

from doorward.core import redact
from doorward.errors import Code

SECRET = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432"
PAT = "ghp_" + "a1B2" * 9
FORMS = {
    "raw": lambda text: text,
    "inside a sentence": lambda text: f"your header was: Authorization: token {text}, thanks",
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of basic": lambda text: base64.b64encode(f"bot:{text}".encode()).decode(),
    "base64 shifted once": lambda text: base64.b64encode(f"x{text}y".encode()).decode(),
    "base64 shifted twice": lambda text: base64.b64encode(f"xx{text}".encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(f"?>?{text}".encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(f"{'.' * 50}{text}".encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "percent-encoded": lambda text: quote(f"token {text}&x"),
    "percent-encoded throughout": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "in a URL": lambda text: f"https://bot:{text}@forge.example/acme/web.git",
}


def _decodings(text: str) -> str:
    """The text with everything that base64 hides in it, at any alignment."""
    found = [text]
    for word in text.replace("\n", "").translate(str.maketrans("-_", "+/")).split():
        for start in range(4):
            chunk = word[start:]
            chunk = chunk[: len(chunk) - len(chunk) % 4]
            try:
                found.append(base64.b64decode(chunk, validate=True).decode("latin-1"))
            except ValueError:
                continue
    return "\n".join(found)


@pytest.mark.parametrize("where", ["member", "name", "header"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, PAT], ids=["ours", "somebody's"])
async def test_an_echoed_credential_does_not_come_back(
    rig_facing: Any, secret: str, form: str, where: str
) -> None:
    """Raw, encoded or within something else, in values, names or headers: it is masked."""
    if where == "header" and "\n" in FORMS[form](secret):
        where = "member"
    shown = FORMS[form](secret)
    document = {shown: 1} if where == "name" else {"said": shown if where == "member" else "", "number": 7}
    headers = [f"ETag: {shown}"] if where == "header" else []
    answer = response(json.dumps(document).encode(), *headers)
    async with rig_facing(saying(answer)) as (rig, heads):
        status, found = await rig.act("issue.read")

    text = json.dumps(found, ensure_ascii=False).replace("\\n", "")
    assert (status, SECRET in heads[0]) == (200, True)
    assert secret not in text
    assert secret.encode().hex() not in text
    assert secret not in _decodings(_decodings(text))
    assert quote(secret, safe="") not in text


async def test_a_file_that_mentions_a_credential_stays_readable(rig_facing: Any) -> None:
    """Only the credential is masked inside base64 content, not the file around it."""
    content = base64.b64encode(f"before {PAT} after, and much more text".encode()).decode()
    answer = response(json.dumps({"content": content}).encode())
    async with rig_facing(saying(answer)) as (rig, _):
        _, found = await rig.act("file.read", owner="acme", repo="web", path="a")

    plain = base64.b64decode(found["result"]["content"]).decode()
    assert plain == f"before {redact.MASK} after, and much more text"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(rig_facing: Any, authority: Authority, status: str) -> None:
    """Where an upstream sends us we do not go, least of all with the credential."""
    async with raw(saying(response(b"{}")), authority.server("evil.test").context) as (elsewhere, seen):
        answer = response(b"{}", f"Location: {elsewhere}/?t={SECRET}", status=status)
        async with rig_facing(saying(answer)) as (rig, heads):
            _, found = await rig.act()

    assert (len(heads), seen) == (1, [])
    assert (found["upstream"]["status"], found["receipt"]["outcome"]) == (int(status[:3]), "failed")
    assert found["upstream"]["headers"] == {}


UNREADABLE = {
    "not JSON": response(b"<html>"),
    "a key twice": response(b'{"id":1,"id":2}'),
    "a length that lies": response(b"{}").replace(b"Length: 2", b"Length: 99"),
    "an encoding nobody asked for": response(b"\x1f\x8b\x08", "Content-Encoding: gzip"),
    "another media type": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n{}",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "no HTTP at all": b"SSH-2.0-OpenSSH\r\n\r\n",
    "nothing": b"",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a server error": response(b"{}", status="502 Bad Gateway"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_an_unreadable_answer_to_a_write_is_unknown(rig_facing: Any, name: str) -> None:
    """The comment may have been made: outcome and code say so, and it is not sent again."""
    async with rig_facing(saying(UNREADABLE[name])) as (rig, heads):
        status, problem = await rig.act()

        assert (status, problem["code"]) == (504, Code.OUTCOME_UNKNOWN)
        assert [outcome["outcome"] for outcome in rig.broker.outcomes] == ["unknown"]
        assert rig.broker.outcomes[0]["sent"] is True
    assert len(heads) == 1


@pytest.mark.parametrize("name", ["not JSON", "a key twice", "an encoding nobody asked for"])
async def test_an_unreadable_answer_to_a_read_is_a_failure(rig_facing: Any, name: str) -> None:
    """A read that gave nothing usable has failed, and nothing else."""
    async with rig_facing(saying(UNREADABLE[name])) as (rig, _):
        status, problem = await rig.act("issue.read")

        assert (status, problem["code"]) == (502, Code.UPSTREAM_REFUSED)
        assert rig.broker.outcomes[0]["outcome"] == "failed"


async def test_an_answer_beyond_the_bound_is_cut_off(rig_facing: Any) -> None:
    """A huge answer costs at most the bound and one buffer, not what the upstream would send."""
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(2000):
            writer.write(b" " * 65536)
            await writer.drain()
            sent += 65536

    async with rig_facing(flood, max_response=100_000) as (rig, _):
        status, problem = await rig.act("issue.read")

    assert (status, problem["code"]) == (502, Code.UPSTREAM_REFUSED)
    assert sent < 50_000_000


async def test_a_dripping_answer_ends_with_the_time(rig_facing: Any) -> None:
    """An upstream that never finishes is left, and what became of the action is unknown."""
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        while await reader.read(1000):
            pass
        gone.set()

    async with rig_facing(drip, upstream_seconds=0.3) as (rig, heads):
        status, problem = await rig.act()
        await until(gone.is_set)

    assert (status, problem["code"], len(heads)) == (504, Code.OUTCOME_UNKNOWN, 1)


async def test_a_dropped_kept_connection_is_not_tried_again(rig_facing: Any) -> None:
    """Even a read is sent once: when a kept connection breaks on it, the answer is `outcome_unknown`."""
    requests: list[str] = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        requests.append(head)
        if len(requests) == 1:
            writer.write(response(b'{"number": 7}'))
            await writer.drain()
            requests.append((await reader.readuntil(b"\r\n\r\n")).decode())

    async with rig_facing(twice) as (rig, _):
        assert (await rig.act("issue.read"))[0] == 200
        status, problem = await rig.act("issue.read")

    assert (status, problem["code"], len(requests)) == (504, Code.OUTCOME_UNKNOWN, 2)


async def test_an_upstream_that_is_not_there_was_sent_nothing(rig_of: Any, authority: Authority) -> None:
    """A refused connection is `failed` with certainty, so that what was reserved can be given back."""
    async with raw(saying(b""), authority.server("raw.test").context) as (url, _):
        pass
    async with rig_of(upstream=url) as rig:
        status, problem = await rig.act()

        assert (status, problem["code"]) == (503, Code.UNAVAILABLE)
        assert (rig.broker.outcomes[0]["outcome"], rig.broker.outcomes[0]["sent"]) == ("failed", False)


async def test_an_upstream_with_another_certificate_is_sent_nothing(
    rig_of: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The credential goes to nobody whom the configured authority does not vouch for."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    tls = stranger.server("raw.test").context
    async with raw(saying(response(b"{}")), tls) as (url, heads), rig_of(upstream=url) as rig:
        _, problem = await rig.act()

        assert (problem["code"], heads) == (Code.UNAVAILABLE, [])
        assert rig.broker.outcomes[0]["sent"] is False


async def test_a_long_answer_has_a_reportable_outcome(rig_facing: Any) -> None:
    """However many things an upstream names, the broker hears of the first of them."""
    answer = response(json.dumps([{"number": number} for number in range(500)]).encode())
    async with rig_facing(saying(answer)) as (rig, _):
        status, _ = await rig.act("issue.query", owner="acme", repo="web")

        assert (status, len(rig.broker.outcomes[0]["references"])) == (200, 100)


@pytest.mark.parametrize(("size", "aside"), [(1_000, 0), (1_000_000, 1)])
async def test_a_long_answer_is_stripped_aside(rig_facing: Any, size: int, aside: int) -> None:
    """Masking megabytes takes seconds; meanwhile the actions of other tasks go on."""
    said = response(json.dumps({"number": 7, "body": "a%20b " * (size // 6)}).encode())

    async with rig_facing(saying(said)) as (rig, _):
        before = set(threading.enumerate())
        status, _ = await rig.act("issue.read")
        new = [thread.name for thread in set(threading.enumerate()) - before]

    assert (status, sum(name.startswith("strip") for name in new)) == (200, aside)
