"""Whatever an agent sends as a credential goes nowhere; whatever an upstream shows as one comes to nobody."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from upstream import raw, response, saying

SENTINEL = "agent-supplied-0123456789abcdef"
HEADERS = [
    "Authorization",
    "authorization",
    "AUTHORIZATION",
    "Proxy-Authorization",
    "X-Authorization",
    "Authentication",
    "Cookie",
    "Cookie2",
    "X-Api-Key",
    "x-goog-api-key",
    "Api-Key",
    "Apikey",
    "Private-Token",
    "Job-Token",
    "Deploy-Token",
    "X-Gitea-OTP",
    "X-Gitlab-Token",
    "X-GitHub-Token",
    "X-Auth-Token",
    "X-Access-Token",
    "X-Csrf-Token",
    "X-Amz-Security-Token",
    "X-Amz-Credential",
    "X-Ms-Client-Principal",
    "X-Forwarded-User",
    "X-Remote-User",
    "X-Webauth-User",
    "Remote-User",
    "Sudo",
    "X-Http-Method-Override",
    "X-Original-Url",
    "X-Rewrite-Url",
    "X-Forwarded-Host",
    "Forwarded",
    "Sec-WebSocket-Protocol",
    "Doorward-Capability",
    "Doorward-Proof",
    "Token",
    "Secret",
    "Password",
]
VALUES = ["{}", "Bearer {}", "token {}", "Basic {basic}", "session={}; a=b", 'Digest username="{}"']
OURS = {"Host", "Content-Length", "Authorization", "Accept", "Accept-Encoding", "User-Agent", "Content-Type"}


def _written(template: str) -> str:
    basic = base64.b64encode(f"agent:{SENTINEL}".encode()).decode()
    return template.format(SENTINEL, basic=basic)


@pytest.mark.parametrize("name", HEADERS)
async def test_no_header_of_an_agent_gets_through(door: Any, name: str) -> None:
    """In any spelling and scheme: broker, connector and upstream see our headers and no others."""
    for template in VALUES:
        headers = {name: _written(template)}
        native = await door.ask(
            "POST", "/via/code/repos/acme/web/issues/7/comments", {"body": "hi"}, **headers
        )
        args = {"owner": "acme", "repo": "web", "number": 7}
        typed = await door.ask("POST", "/v1/actions/code/issue.read", args, **headers)
        assert (native.status, typed.status) == (201, 200)

    for seen in door.behind.forge.seen:
        assert set(seen.headers) <= OURS
        assert SENTINEL not in json.dumps([seen.headers, seen.target, seen.body.decode()])
        assert _written("{basic}") not in json.dumps(seen.headers)
    assert len(door.behind.forge.seen) == 2 * len(VALUES)
    assert SENTINEL not in json.dumps(door.behind.broker.calls)


@pytest.mark.parametrize(
    "parameter",
    [
        "access_token",
        "token",
        "key",
        "api_key",
        "apikey",
        "private_token",
        "auth",
        "sig",
        "X-Amz-Signature",
        "sudo",
    ],
)
async def test_no_query_of_an_agent_gets_through(door: Any, parameter: str) -> None:
    """A credential in the query is refused before anybody is asked."""
    door.behind.broker.calls.clear()

    reply = await door.ask("GET", f"/via/code/repos/acme/web/issues?state=open&{parameter}={SENTINEL}")

    assert (reply.status, reply.document["code"]) == (400, "malformed")
    assert (door.behind.forge.seen, door.behind.broker.calls) == ([], [])


@pytest.mark.parametrize("member", ["access_token", "client_secret", "password", "sudo", "token"])
async def test_no_body_member_of_an_agent_gets_through(door: Any, member: str) -> None:
    """A credential in the body is refused, not dropped: the request would mean something else without it."""
    body = {"body": "hi", member: SENTINEL}

    reply = await door.ask("POST", "/via/code/repos/acme/web/issues/7/comments", body)

    assert (reply.status, door.behind.forge.seen) == (400, [])


async def test_a_user_in_the_target_is_refused(door: Any) -> None:
    """Credentials in an absolute target do not even reach the routes."""
    own = f"127.0.0.1:{door.port}"
    head = f"GET http://agent:{SENTINEL}@{own}/v1/task HTTP/1.1\r\nHost: {own}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(head.encode())

    answer = await reader.readline()
    writer.close()

    assert b" 400 " in answer


LEAKS = {
    "raw": lambda text: text,
    "base64": lambda text: base64.b64encode(f"x-access-token:{text}".encode()).decode(),
    "percent": lambda text: quote(f"Bearer {text}"),
}
SHAPES = {
    "GitHub installation": "ghs_" + "1" * 10 + "_" + "aB3.dE-f" * 5,
    "GitHub personal": "github_pat_" + "A1b2" * 10,
    "JWT": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZ2VudCJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
    "private key": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_no_secret_of_an_upstream_gets_out(door_of: Any, authority: Any, shape: str, leak: str) -> None:
    """Members, names, errors and headers: what has the shape of a credential is masked on the way out."""
    shown = LEAKS[leak](SHAPES[shape])
    body = json.dumps({"number": 7, "said": shown, shown: [{"url": shown}]}).encode()
    answer = response(
        body, f"Set-Cookie: a={quote(shown)}", f"ETag: {quote(shown)}", f"X-Debug: {quote(shown)}"
    )
    tls = authority.server("raw.test").context
    async with raw(saying(answer), tls) as (url, _), door_of(upstream=url) as door:
        native = await door.ask("GET", "/via/code/repos/acme/web/issues/7")
        typed = await door.ask(
            "POST", "/v1/actions/code/issue.read", {"owner": "a", "repo": "b", "number": 7}
        )

    for reply in (native, typed):
        assert reply.status == 200
        text = json.dumps([reply.document, reply.headers])
        assert SHAPES[shape] not in text
        assert json.dumps(shown)[1:-1] not in text
        assert quote(shown) not in text


async def test_no_secret_in_an_upstreams_no_gets_out(door_of: Any, authority: Any) -> None:
    """The words of an upstream's refusal are scrubbed like everything else."""
    answer = response(json.dumps({"message": f"bad token {SHAPES['JWT']}"}).encode(), status="403 Forbidden")
    tls = authority.server("raw.test").context
    async with raw(saying(answer), tls) as (url, _), door_of(upstream=url) as door:
        typed = await door.ask(
            "POST", "/v1/actions/code/issue.read", {"owner": "a", "repo": "b", "number": 7}
        )

    assert (typed.status, typed.document["detail"]) == (
        502,
        "the upstream answered 403: bad token [redacted]",
    )


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("leak", LEAKS)
async def test_the_door_scrubs_by_itself(door: Any, authority: Any, leak: str, status: int) -> None:
    """A connector that forgot to scrub leaks nothing either: each of the two is enough."""
    shown = LEAKS[leak](SHAPES["JWT"])
    answer = {
        "result": {"message": shown, "number": 7},
        "upstream": {
            "status": status,
            "headers": {"etag": quote(shown)},
            "base": "https://forge.example/api/v1",
        },
        "references": [],
        "receipt": {"decision": "decision-1"},
    }
    body = json.dumps(answer).encode()
    async with raw(saying(response(body)), authority.server("connector.test").context) as (url, _):
        known = door.door.session.connectors["code"]
        door.door.session.connectors["code"] = replace(known, url=url)
        native = await door.ask("GET", "/via/code/repos/acme/web/issues/7")
        typed = await door.ask(
            "POST", "/v1/actions/code/issue.read", {"owner": "a", "repo": "b", "number": 7}
        )

    assert (native.status, typed.status) == (status, 200 if status == 200 else 502)
    for reply in (native, typed):
        text = json.dumps([reply.document, reply.headers])
        assert shown not in text
        assert SHAPES["JWT"] not in text


async def test_a_long_answer_in_any_script_arrives(door_of: Any, authority: Any) -> None:
    """What an upstream may say in two bytes a letter is not longer than a door takes."""
    said = "ж" * 1_900_000
    body = json.dumps({"number": 7, "body": said}, ensure_ascii=False).encode()
    tls = authority.server("connector.test").context
    async with raw(saying(response(body)), tls) as (url, _), door_of(upstream=url) as door:
        reply = await door.ask("GET", "/via/code/repos/acme/web/issues/7")

    assert (reply.status, reply.document["body"] == said) == (200, True)
