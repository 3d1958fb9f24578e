"""Requests that wait for people: parked, asked about, run without sending anything again, forgotten."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from doorward.errors import Code, Refusal

COMMENT = {"owner": "acme", "repo": "web", "number": 7, "body": "Found it: the hinge."}
ACT = "/v1/actions/code/issue.comment"
NATIVE = "/via/code/repos/acme/web/issues/7/comments"
EXPIRES = int(time.time()) + 1800


def stands(state: str, approvals: int = 0, name: str = "fix-1a2b3c4d") -> dict[str, Any]:
    """The broker's word on a Grant."""
    return {"grant": name, "state": state, "approvals": approvals, "quorum": 1, "expires": EXPIRES}


class People:
    """A rule that demands an approval of comments; each body is a Grant of its own."""

    def __init__(self) -> None:
        self.no: Refusal | None = None
        """Instead of waiting: what the broker says."""
        self.approved = False
        self.grants: dict[str, str] = {}

    def __call__(self, action: str, args: Mapping[str, Any]) -> Refusal | None:
        """The no, if there is one."""
        if action != "issue.comment" or self.approved:
            return None
        if self.no is not None:
            return self.no
        name = self.grants.setdefault(str(args["body"]), f"fix-{1 + len(self.grants)}a2b3c4d")
        return Refusal(
            Code.APPROVAL_PENDING,
            "people have been asked",
            rule="comment",
            decision="d-1",
            members={"grant": name, "pending": {"expires": EXPIRES, "quorum": 1, "approvals": 0}},
        )


@pytest.fixture
def people(door: Any) -> People:
    door.behind.broker.policy = People()
    door.behind.broker.grants["fix-1a2b3c4d"] = [stands("pending")]
    found: People = door.behind.broker.policy
    return found


def decisions(door: Any) -> list[dict[str, Any]]:
    """What the broker was asked to decide."""
    return [body for path, body in door.behind.broker.calls if path == "/v1/decisions"]


async def parked(door: Any, body: str = "Found it: the hinge.", **headers: str) -> str:
    """Where a comment waits."""
    reply = await door.ask("POST", ACT, {**COMMENT, "body": body}, **headers)
    assert reply.status == 202, reply.document
    return str(reply.headers["Location"])


async def test_a_typed_action_that_waits_is_accepted_and_kept(door: Any, people: People) -> None:
    """202 with the place to ask at, the Grant, and until when people may answer."""
    reply = await door.ask("POST", ACT, COMMENT)
    request = reply.document.pop("request")

    assert (reply.status, reply.headers["Location"]) == (202, f"/v1/requests/{request}")
    assert reply.document == stands("pending")
    assert door.behind.forge.seen == []


async def test_a_native_request_that_waits_is_refused_with_the_same_place(door: Any, people: People) -> None:
    """Existing clients take a 202 for done, so theirs is the problem, with the Location beside it."""
    reply = await door.ask("POST", NATIVE, {"body": COMMENT["body"]})

    assert (reply.status, reply.document["code"]) == (403, "approval_pending")
    assert reply.document["grant"] == "fix-1a2b3c4d"
    assert reply.headers["Location"] in reply.document["ask"]
    assert reply.headers["Location"] == await parked(door)


async def test_approved_it_is_run_with_what_was_kept(door: Any, people: People) -> None:
    """Nothing is sent again: the forge gets the arguments of the first request, once."""
    place = await parked(door)
    people.approved = True
    reply = await door.ask("POST", f"{place}/run")

    assert (reply.status, door.behind.forge.comments) == (200, ["Found it: the hinge."])
    assert set(reply.document["receipt"]) == {"decision", "capability", "event", "outcome"}
    assert [asked["args"] for asked in decisions(door)] == [COMMENT, COMMENT]
    assert len({asked["request"] for asked in decisions(door)}) == 2


async def test_what_was_run_is_told_once_more_and_forgotten(door: Any, people: People) -> None:
    """A second run does nothing, whoever tries it."""
    place = await parked(door)
    people.approved = True
    await door.ask("POST", f"{place}/run")
    told, gone = await door.ask("POST", f"{place}/run"), await door.ask("POST", f"{place}/run")

    assert (told.status, told.document["code"]) == (403, "limit_exceeded")
    assert (gone.status, gone.document["code"]) == (404, "unknown_action")
    assert len(door.behind.forge.comments) == 1


async def test_run_too_early_it_waits_on(door: Any, people: People) -> None:
    """409 with the code; it stays parked, and the approval finds it."""
    place = await parked(door)
    early = await door.ask("POST", f"{place}/run")
    people.approved = True

    assert (early.status, early.document["code"]) == (409, "approval_pending")
    assert (await door.ask("POST", f"{place}/run")).status == 200


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (Code.APPROVAL_DENIED, "denied"),
        (Code.GRANT_EXPIRED, "expired"),
        (Code.GRANT_STALE, "stale"),
        (Code.REVOKED, "revoked"),
    ],
)
async def test_a_no_that_stands_ends_the_request(door: Any, people: People, code: Code, state: str) -> None:
    """The broker's no arrives as it is; asked once more the door knows the state, then nothing."""
    place = await parked(door)
    people.no = Refusal(code, "no")
    run = await door.ask("POST", f"{place}/run")
    told, gone = await door.ask("GET", place), await door.ask("GET", place)

    assert (run.status, run.document["code"]) == (403, code.value)
    assert (told.status, told.document["state"], gone.status) == (200, state, 404)


async def test_a_no_that_may_pass_leaves_it_parked(door: Any, people: People) -> None:
    """A limit or an outage is no answer of people."""
    place = await parked(door)
    people.no = Refusal(Code.LIMIT_EXCEEDED, "not this minute")
    assert (await door.ask("POST", f"{place}/run")).status == 403
    people.approved = True

    assert (await door.ask("POST", f"{place}/run")).status == 200


async def test_a_connector_that_was_not_reached_leaves_it_parked(door: Any, people: People) -> None:
    """Nothing was executed, so it may be run again; whether the Grant is spent is for the broker to say."""
    place = await parked(door)
    people.approved = True
    known = door.door.session.connectors["code"]
    away = (known.name, known.type, known.catalogue_hash, known.audience, "https://127.0.0.1:1", "x")
    door.door.session.connectors["code"] = type(known)(*away)
    first = await door.ask("POST", f"{place}/run")
    door.door.session.connectors["code"] = known

    assert (first.status, first.document["code"]) == (503, "unavailable")
    assert (await door.ask("POST", f"{place}/run")).status == 200


async def test_asked_about_it_says_how_the_grant_stands(door: Any, people: People) -> None:
    """As the broker says now; a final state frees the arguments and is told twice."""
    place = await parked(door)
    door.behind.broker.grants["fix-1a2b3c4d"] = [
        stands("pending"),
        stands("active", 1),
        stands("denied", 1),
    ]
    replies = [await door.ask("GET", place) for _ in range(5)]

    assert [reply.status for reply in replies] == [200, 200, 200, 200, 404]
    assert [reply.document.get("state") for reply in replies[:4]] == ["pending", "active", "denied", "denied"]
    assert replies[1].document["approvals"] == 1


async def test_an_answer_may_be_held_back(door: Any, people: People) -> None:
    """How long the agent likes to wait is the broker's to wait, bounded."""
    place = await parked(door)
    asked: list[int] = []
    grant = door.door.broker.grant

    async def heard(name: str, wait: int) -> Any:
        asked.append(wait)
        return await grant(name, wait)

    door.door.broker.grant = heard
    await door.ask("GET", place, Prefer="wait=60")
    await door.ask("GET", place)

    assert asked == [50, 0]


async def test_the_same_action_again_is_the_same_request(door: Any, people: People) -> None:
    """A door that was restarted, or an agent that forgot, finds the same Grant by asking again."""
    assert await parked(door) == await parked(door)


async def test_a_forgotten_request_is_found_again_by_asking(door: Any, people: People) -> None:
    """Losing what was parked loses nothing but the arguments."""
    place = await parked(door)
    door.door.lot = type(door.door.lot)()

    assert (await door.ask("GET", place)).status == 404
    again = await parked(door)
    assert (await door.ask("GET", again)).document["grant"] == "fix-1a2b3c4d"


async def test_more_than_the_door_keeps_is_refused(door: Any, people: People) -> None:
    """Sixteen, and the refusal says that the Grant waits all the same."""
    for number in range(16):
        await parked(door, f"comment {number}")
    reply = await door.ask("POST", ACT, COMMENT)

    assert (reply.status, reply.document["code"]) == (429, "rate_limited")
    assert "Grant fix-17a2b3c4d waits" in reply.document["detail"]


async def test_arguments_are_kept_up_to_a_bound(door: Any, people: People) -> None:
    """Two megabytes together, whatever one request may hold."""
    for letter in "abc":
        await parked(door, letter * 600_000)
    reply = await door.ask("POST", ACT, {**COMMENT, "body": "d" * 600_000})

    assert (reply.status, reply.document["code"]) == (429, "rate_limited")


async def test_a_reason_goes_to_the_broker_and_nowhere_else(door: Any, people: People) -> None:
    """Typed and native calls may say why; neither connector nor forge hears it."""
    await parked(door, "typed", **{"Doorward-Reason": "the issue is urgent"})
    await door.ask("POST", NATIVE, {"body": "native"}, **{"Doorward-Reason": "the same"})
    people.approved = True
    await door.ask("POST", ACT, {**COMMENT, "body": "now"}, **{"Doorward-Reason": "more"})

    assert [asked.get("reason") for asked in decisions(door)] == ["the issue is urgent", "the same", "more"]
    assert all("Doorward-Reason" not in seen.headers for seen in door.behind.forge.seen)


async def test_a_reason_that_people_could_not_read_is_refused(door: Any, people: People) -> None:
    """Before anybody is asked."""
    reply = await door.ask("POST", ACT, COMMENT, **{"Doorward-Reason": "a\u202eb"})

    assert (reply.status, reply.document["code"]) == (400, "malformed")
    assert decisions(door) == []


CLAIM = {"what": "close the issue", "stopped": "it is not mine", "evidence": ["#7"], "decision": "may I?"}


async def test_an_escalation_is_the_action_with_a_claim(door: Any, people: People) -> None:
    """It parks and runs as the action does; the claim travels beside the arguments."""
    body = {"connector": "code", "action": "issue.comment", "args": COMMENT, "escalation": CLAIM}
    reply = await door.ask("POST", "/v1/escalations", body)

    assert (reply.status, reply.document["state"]) == (202, "pending")
    assert decisions(door)[0]["escalation"] == CLAIM
    assert decisions(door)[0]["args"] == COMMENT


NO_REQUESTS = [
    ("GET /v1/requests/0190", None, 404),
    ("POST /v1/requests/0190/run", None, 404),
    ("POST /v1/requests/0190", None, 405),
    ("GET /v1/requests/0190/run", None, 405),
    ("POST {place}/run", {"body": "another"}, 400),
    ("POST {place}/run", {}, 409),
]


async def test_what_is_no_request_is_said(door: Any, people: People) -> None:
    """Unknown ids and methods; and a run that brings arguments of its own is none."""
    place = await parked(door)

    for call, body, status in NO_REQUESTS:
        assert (await door.ask(*call.format(place=place).split(), body)).status == status, call


async def test_a_broker_that_does_not_know_the_grant_is_believed(door: Any, people: People) -> None:
    """Its no reaches the agent."""
    place = await parked(door)
    door.behind.broker.grants.clear()

    assert (await door.ask("GET", place)).document["code"] == "unknown_action"


async def test_a_closed_door_runs_nothing(door: Any, people: People) -> None:
    """What is parked waits for nobody once the task is frozen."""
    place = await parked(door)
    people.approved = True
    door.door.close(Refusal(Code.TASK_FROZEN, "breach"))

    assert (await door.ask("POST", f"{place}/run")).document["code"] == "task_frozen"
    assert (await door.ask("GET", place)).document["code"] == "task_frozen"
    assert door.behind.forge.seen == []
