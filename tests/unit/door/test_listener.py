"""What an agent can do through its door, and what it cannot."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from doorward.errors import Code, Refusal

COMMENT = {"owner": "acme", "repo": "web", "number": 7, "body": "Found it: the hinge."}
ISSUE = "/via/code/repos/acme/web/issues/7"


def _receipt(reply: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(reply.headers["Doorward-Receipt"]))
    return found


async def test_an_agent_reads_its_task(door: Any) -> None:
    """The task is what the broker said when the session was opened."""
    reply = await door.ask("GET", "/v1/task")

    assert (reply.status, reply.document["input"]) == (200, {"issue": 7})


async def test_an_agent_reads_its_actions(door: Any) -> None:
    """What exists for the task is asked of the broker each time: it narrows at once."""
    reply = await door.ask("GET", "/v1/actions")

    assert reply.document == {"actions": [{"connector": "code", "action": "issue.read"}]}


async def test_a_typed_action_gives_result_and_receipt(door: Any) -> None:
    """One request, one effect, and a receipt with which it can be found again."""
    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert (reply.status, door.behind.forge.comments) == (200, ["Found it: the hinge."])
    assert reply.document["result"]["id"] == 41
    assert reply.document["receipt"] == _receipt(reply)
    assert set(_receipt(reply)) == {"decision", "capability", "event", "outcome"}


async def test_a_native_request_gets_the_upstreams_answer(door: Any) -> None:
    """Status and body are the upstream's, addresses are the door's, and the receipt is a header."""
    reply = await door.ask("GET", ISSUE)

    assert (reply.status, reply.document["number"]) == (200, 7)
    assert reply.document["url"] == door.url + ISSUE
    assert reply.document["comments_url"] == f"{door.url}{ISSUE}/comments"
    assert reply.document["html_url"] == "https://forge.example/acme/web/issues/7"
    assert reply.document["body"] == "see https://forge.example/api/v1/repos/acme/web/issues/7"
    assert "Set-Cookie" not in reply.headers
    assert "X-Forge" not in reply.headers
    assert _receipt(reply)["outcome"] == "succeeded"


async def test_a_client_that_adds_a_prefix_stays_below_it(door: Any) -> None:
    """A client of Gitea calls below /api/v1 and is answered with addresses there."""
    prefixed = ISSUE.replace("/repos", "/api/v1/repos")

    reply = await door.ask("GET", prefixed)

    assert reply.document["url"] == door.url + prefixed


async def test_links_lead_through_the_door(door: Any) -> None:
    """Paging goes on where it began."""
    reply = await door.ask("GET", "/via/code/repos/acme/web/issues?state=open")

    assert reply.headers["Link"] == f'<{door.url}/via/code/repos/acme/web/issues?page=2>; rel="next"'
    assert reply.headers["X-Total-Count"] == "1"
    assert door.behind.forge.seen[0].target.endswith("/issues?state=open")


async def test_a_native_comment_keeps_status_201(door: Any) -> None:
    """Clients that look at the status find the one they expect."""
    reply = await door.ask("POST", f"{ISSUE}/comments", {"body": "hi"})

    assert (reply.status, reply.document["body"]) == (201, "hi")


async def test_an_upstreams_no_is_native_to_native_clients(door: Any) -> None:
    """A 404 of the upstream is a 404 with its own words."""
    reply = await door.ask("GET", "/via/code/repos/acme/web/issues/8")

    assert (reply.status, reply.document) == (404, {"message": "there is no such thing"})
    assert _receipt(reply)["outcome"] == "failed"


async def test_an_upstreams_no_has_a_code_for_typed_clients(door: Any) -> None:
    """The same no in the one form that all refusals have, with the upstream's status and a receipt."""
    reply = await door.ask(
        "POST", "/v1/actions/code/issue.read", {"owner": "acme", "repo": "web", "number": 8}
    )

    assert (reply.status, reply.document["code"]) == (502, "upstream_refused")
    assert reply.document["detail"] == "the upstream answered 404: there is no such thing"
    assert reply.document["decision"] == _receipt(reply)["decision"]


async def test_the_brokers_no_reaches_the_agent_whole(door: Any) -> None:
    """Code, rule, what would have been allowed and how to ask arrive as the broker wrote them."""
    door.behind.broker.refuse["/v1/decisions"] = Refusal(
        Code.LIMIT_EXCEEDED, "used up", rule="comment", allowed="1 per task", ask="kubectl", decision="d-9"
    )

    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert reply.status == 403
    assert reply.headers["Content-Type"] == "application/problem+json"
    del reply.document["type"], reply.document["title"]
    assert reply.document == {
        "status": 403,
        "code": "limit_exceeded",
        "detail": "used up",
        "rule": "comment",
        "allowed": "1 per task",
        "ask": "kubectl",
        "decision": "d-9",
    }
    assert door.behind.forge.seen == []


async def test_a_lost_decision_is_asked_for_again_once(door: Any) -> None:
    """The same request id is repeated, so the action is decided and done once."""
    door.behind.broker.lose["/v1/decisions"] = 1

    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    asked = [body["request"] for path, body in door.behind.broker.calls if path == "/v1/decisions"]
    assert (reply.status, len(asked), len(set(asked))) == (200, 2, 1)
    assert len(door.behind.forge.comments) == 1


async def test_a_broker_that_is_gone_means_no(door: Any) -> None:
    """Without a decision nothing is executed, and the agent is told so."""
    door.behind.broker.lose["/v1/decisions"] = 2

    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert (reply.status, reply.document["code"]) == (503, "unavailable")
    assert "nothing was executed" in reply.document["detail"]
    assert door.behind.forge.seen == []


async def test_a_connectors_lost_answer_is_not_asked_for_again(door: Any, authority: Any) -> None:
    """What may have happened is not made to happen twice: the code is `outcome_unknown`."""
    heads: list[str] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.close()

    tls = authority.server("connector.test").context
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls)
    _point(door, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert (reply.status, reply.document["code"]) == (504, "outcome_unknown")
    assert (reply.document["decision"], len(heads)) == ("decision-1", 1)


async def test_a_connector_that_is_not_there_did_nothing(door: Any) -> None:
    """A refused connection is certain: nothing was executed."""
    _point(door, "https://127.0.0.1:1")

    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert (reply.status, reply.document["code"]) == (503, "unavailable")


async def test_a_connector_under_another_name_gets_nothing(door: Any) -> None:
    """The address may be right; without the name in its certificate it is a stranger."""
    _point(door, door.behind.url, server_name="connector.elsewhere")

    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert (reply.status, reply.document["code"]) == (503, "unavailable")
    assert "/v1/redemptions" not in door.behind.broker.paths()


async def test_a_vocabulary_of_another_version_translates_nothing(door: Any) -> None:
    """When door and connector were built apart, native requests are refused and typed ones work."""
    _point(door, door.behind.url, catalogue_hash="sha256:other")

    assert (await door.ask("GET", ISSUE)).document["code"] == "unavailable"
    assert (await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)).status == 200


async def test_a_closed_door_refuses_everything(door: Any) -> None:
    """Once frozen, no route answers with anything else, and the broker is not asked."""
    door.door.close(Refusal(Code.TASK_FROZEN, "reached the metadata service"))
    door.behind.broker.calls.clear()

    for method, target in [
        ("GET", "/v1/task"),
        ("GET", "/v1/actions"),
        ("POST", "/v1/actions/code/issue.comment"),
        ("GET", ISSUE),
        ("GET", "/v1/requests/1"),
    ]:
        reply = await door.ask(method, target, COMMENT if method == "POST" else None)
        assert (reply.status, reply.document["code"]) == (403, "task_frozen")
    assert door.behind.broker.calls == []


async def test_freezing_stops_what_was_decided_but_not_done(door: Any) -> None:
    """A decision that arrives after the door closed is not carried out."""
    decide = door.door.broker.decide

    async def slow(*args: Any) -> Any:
        decision = await decide(*args)
        door.door.close(Refusal(Code.TASK_FROZEN, "breach"))
        return decision

    door.door.broker.decide = slow

    reply = await door.ask("POST", "/v1/actions/code/issue.comment", COMMENT)

    assert (reply.document["code"], door.behind.forge.seen) == ("task_frozen", [])


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:{port}.evil.example"]
)
async def test_only_its_own_name_opens_the_door(door: Any, host: str) -> None:
    """A page that had its name rebound to loopback is refused by its Host (CVE-2025-66416)."""
    reply = await door.ask("GET", "/v1/task", Host=host.format(port=door.port))

    assert (reply.status, reply.document["code"]) == (421, "malformed")


async def test_localhost_is_its_own_name_too(door: Any) -> None:
    """Clients that write localhost are served, and get addresses with localhost."""
    reply = await door.ask("GET", ISSUE, Host=f"localhost:{door.port}")

    assert reply.document["url"] == f"http://localhost:{door.port}{ISSUE}"


async def test_requests_that_wait_do_not_exist_yet(door: Any) -> None:
    """Asking for a parked request has a code, not a bare 404."""
    reply = await door.ask("GET", "/v1/requests/0")

    assert (reply.status, reply.document["code"]) == (404, "unknown_action")


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/via/other/repos/acme/web/issues/7", "unknown_action"),
        ("GET", "/via/code/user", "unknown_action"),
        ("DELETE", ISSUE, "unknown_action"),
        ("GET", "/via/code/repos/acme/web/issues/7?access_token=x", "malformed"),
        ("GET", "/via/code/repos/acme/web/issues/7?sudo=root", "malformed"),
        ("GET", "/via/code/repos/acme/web/issues/07", "arguments_invalid"),
        ("GET", "/via/code/repos/acme/web/contents/..%2f..%2fadmin", "malformed"),
        ("GET", "/via/code/repos/%2e%2e/web/issues/7", "malformed"),
        ("GET", "/via/code//repos/acme/web/issues/7", "malformed"),
        ("GET", "/via/code/repos/acme/web/issues;x=1", "malformed"),
        ("GET", "/via/code/repos/acme/web/contents/a%255c", "malformed"),
    ],
)
async def test_what_means_no_action_never_leaves_the_pod(
    door: Any, method: str, target: str, code: str
) -> None:
    """Unknown routes, unknown parameters and targets with two readings reach nobody."""
    door.behind.broker.calls.clear()

    reply = await door.ask(method, target)

    assert reply.document["code"] == code
    assert (door.behind.broker.calls, door.behind.forge.seen) == ([], [])


@pytest.mark.parametrize(
    "body",
    [b'{"body":"a","body":"b"}', b'{"body":"a","sudo":"root"}', b'{"body":1e400}', b"\xff", b"[]", b"{"],
)
async def test_a_body_with_two_readings_never_leaves_the_pod(door: Any, body: bytes) -> None:
    """Strict parsing holds for native and typed calls alike."""
    door.behind.broker.calls.clear()

    native = await door.ask("POST", f"{ISSUE}/comments", body)
    typed = await door.ask("POST", "/v1/actions/code/issue.comment", body)

    assert native.document["code"] == "malformed"
    assert typed.document["code"] in {"malformed", "arguments_invalid"}
    assert door.behind.forge.seen == []


async def test_a_body_beyond_the_bound_is_refused_whole(door: Any) -> None:
    """A megabyte and a bit is not inspected in part (padding before the forbidden member)."""
    reply = await door.ask("POST", f"{ISSUE}/comments", b'{"body":"' + b"a" * 1024 * 1024 + b'"}')

    assert (reply.status, reply.document["code"]) == (413, "malformed")
    assert door.behind.forge.seen == []


def _point(
    door: Any, url: str, server_name: str = "connector.test", catalogue_hash: str | None = None
) -> None:
    """Have the session name another address, name or vocabulary for the connector."""
    known = door.door.session.connectors["code"]
    changed = type(known)(
        known.name, known.type, catalogue_hash or known.catalogue_hash, known.audience, url, server_name
    )
    door.door.session.connectors["code"] = changed
