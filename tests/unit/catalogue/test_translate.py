"""Existing clients' requests become typed actions, or nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.catalogue import NativeCall, Place, Route, load, translate
from doorward.catalogue.target import parse
from doorward.catalogue.translate import match
from doorward.core import schemacheck
from doorward.errors import Code, Refusal

FORGE = load("forge")
REFUSED = json.loads((Path(__file__).parents[2] / "vectors" / "targets.json").read_text())["refused"]


@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("GET", "/repos/acme/web/issues", b"", NativeCall("issue.query", {"owner": "acme", "repo": "web"})),
        (
            "GET",
            "/api/v1/repos/acme/web/issues?state=open&labels=good+first%20issue&limit=30",
            b"",
            NativeCall(
                "issue.query",
                {"owner": "acme", "repo": "web", "state": "open", "labels": "good first issue", "limit": 30},
            ),
        ),
        (
            "GET",
            "/api/v3/repos/acme/web/issues/7",
            b"",
            NativeCall("issue.read", {"owner": "acme", "repo": "web", "number": 7}),
        ),
        (
            "POST",
            "/repos/acme/web/issues/7/comments",
            b'{"body": "Seen."}',
            NativeCall("issue.comment", {"owner": "acme", "repo": "web", "number": 7, "body": "Seen."}),
        ),
        (
            "GET",
            "/repos/acme/.github/contents/src/a%20b.py?ref=main",
            b"",
            NativeCall(
                "file.read", {"owner": "acme", "repo": ".github", "path": "src/a b.py", "ref": "main"}
            ),
        ),
    ],
)
def test_what_clients_send(method: str, target: str, body: bytes, expected: NativeCall) -> None:
    """Paths of GitHub and Gitea clients, with either prefix, name the action and its arguments."""
    assert expected == translate(FORGE, method, target, body)


@pytest.mark.parametrize("vector", REFUSED, ids=[vector["why"] for vector in REFUSED])
def test_two_readings(vector: dict[str, str]) -> None:
    """A target that two programs could read differently means nothing at all."""
    with pytest.raises(Refusal) as caught:
        translate(FORGE, "GET", vector["target"])

    assert caught.value.code in {Code.MALFORMED, Code.UNKNOWN_ACTION, Code.ARGUMENTS_INVALID}
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.ARGUMENTS_INVALID),
        (b"{}", Code.ARGUMENTS_INVALID),
        (b'{"body": 7}', Code.ARGUMENTS_INVALID),
        (b'{"body": ""}', Code.ARGUMENTS_INVALID),
        (b'{"body": "a", "body": "b"}', Code.MALFORMED),
        (b'{"body": "a", "number": 8}', Code.MALFORMED),
        (b'{"body": "a", "owner": "other"}', Code.MALFORMED),
        (b'["a"]', Code.MALFORMED),
        (b"body=a", Code.MALFORMED),
        (b'{"body": "' + b"a" * 70_000 + b'"}', Code.ARGUMENTS_INVALID),
    ],
)
def test_bodies_with_more_or_less(body: bytes, code: Code) -> None:
    """A body holds exactly the members of its route; none can override what the path says."""
    with pytest.raises(Refusal) as caught:
        translate(FORGE, "POST", "/repos/acme/web/issues/7/comments", body)

    assert code == caught.value.code


def test_a_get_has_no_body() -> None:
    """A body where none belongs is refused, not dropped: somebody else might read it."""
    with pytest.raises(Refusal, match="takes no body"):
        translate(FORGE, "GET", "/repos/acme/web/issues", b"{}")


def test_another_method_is_told_the_right_one() -> None:
    """A known path with another method answers 405 and names what exists there."""
    with pytest.raises(Refusal) as caught:
        translate(FORGE, "DELETE", "/repos/acme/web/issues/7")

    assert (caught.value.status, caught.value.allowed) == (405, "GET /repos/{owner}/{repo}/issues/{number}")


def test_a_long_target_is_refused_unread() -> None:
    """Targets are bounded before they are parsed."""
    with pytest.raises(Refusal) as caught:
        translate(FORGE, "GET", "/repos/" + "a" * 9000)

    assert caught.value.status == 414


WORDS = st.from_regex(r"\A[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}\Z")
SEGMENTS = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="/\\;%", exclude_categories=("Cc", "Cs")),
    min_size=1,
    max_size=12,
).filter(lambda text: text not in {".", ".."})
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "owner": WORDS,
    "repo": WORDS,
    "number": st.integers(1, 2**31 - 1),
    "state": st.sampled_from(["open", "closed", "all"]),
    "labels": st.text(
        alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
    ),
    "page": st.integers(1, 1000),
    "limit": st.integers(1, 100),
    "body": st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80),
    "path": st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join),
    "ref": st.from_regex(r"\A[A-Za-z0-9_](\.?[A-Za-z0-9_@+/-]){0,20}\Z"),
    "commit": st.sampled_from(["abc1", "main"]),
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[Route, dict[str, Any]]:
    """A route with valid arguments, the optional ones sometimes left out."""
    route = draw(st.sampled_from(FORGE.routes))
    schema: Any = FORGE.actions[route.action].arguments
    names = [name for name in schema["properties"] if name in schema["required"] or draw(st.booleans())]
    return route, {name: draw(VALUES[name]) for name in names}


def written(route: Route, args: dict[str, Any]) -> tuple[str, str, bytes]:
    """The request that a client would send for these arguments."""
    segments = [
        quote(str(args[part.argument]), safe="/" if part.rest else "") if isinstance(part, Place) else part
        for part in route.parts
    ]
    query = {name: args[argument] for name, argument in route.query.items() if argument in args}
    if "limit" in query:
        query.pop("per_page", None)
    body = {name: args[argument] for name, argument in route.body.items()}
    target = "/" + "/".join(segments) + ("?" + urlencode(query) if query else "")
    return route.method, target, json.dumps(body).encode() if body else b""


@given(calls())
def test_round_trip(call: tuple[Route, dict[str, Any]]) -> None:
    """What a client writes for some arguments is read as exactly those arguments."""
    route, args = call

    assert NativeCall(route.action, args) == translate(FORGE, *written(route, args))


PIECES = st.sampled_from(
    [
        "repos",
        "acme",
        "web",
        "issues",
        "contents",
        "comments",
        "7",
        "api",
        "v1",
        "v3",
        "a%20b",
        "%2e",
        "%2F",
        "..",
    ]
)


@given(
    st.lists(PIECES, max_size=9),
    st.sampled_from(["", "?state=open", "?page=2", "?ref=main", "?x=1"]),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from([b"", b'{"body":"b"}']),
)
def test_one_reading(pieces: list[str], query: str, method: str, body: bytes) -> None:
    """Whatever is accepted has one route, valid arguments, and no piece that was not understood."""
    try:
        call = translate(FORGE, method, "/" + "/".join(pieces) + query, body)
    except Refusal:
        return
    segments = parse("/" + "/".join(pieces)).segments
    offset = 2 if segments[0] == "api" else 0
    found = [route for route in FORGE.routes if match(route, segments[offset:]) is not None]

    assert [call.action] == [route.action for route in found if route.method == method]
    assert schemacheck.fault(FORGE.actions[call.action].arguments, call.args) is None
    assert len(call.args) == len([part for part in found[0].parts if isinstance(part, Place)]) + bool(
        query or body
    )


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Whatever is sent as a target gets an answer: an action or a refusal, never a fault."""
    with contextlib.suppress(Refusal):
        translate(FORGE, "GET", text)
