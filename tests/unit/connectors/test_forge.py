"""Typed arguments in, exactly one request out."""

from __future__ import annotations

import sys
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward import catalogue
from doorward.connectors import forge
from doorward.connectors.forge.verbs import _UNSEEN
from doorward.connectors.gate import FAILED, SUCCEEDED, UNKNOWN, judge
from doorward.connectors.upstream import Answer, UpstreamRequest, target
from doorward.connectors.wire import Reference
from doorward.core import schemacheck
from doorward.core.effect import Effect
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

ISSUE = {"owner": "acme", "repo": "web", "number": 7}


def test_every_action_of_the_catalogue_is_carried_out() -> None:
    """What the vocabulary promises the connector does, and it does nothing else."""
    for provider in forge.DIALECTS:
        assert set(forge.VERBS[provider]) == set(catalogue.load("forge").actions)


@pytest.mark.parametrize(
    ("action", "args", "line"),
    [
        ("issue.query", {"owner": "acme", "repo": "web"}, "GET /repos/acme/web/issues"),
        (
            "issue.query",
            {"owner": "acme", "repo": "web", "state": "all", "labels": "a b,c&d", "page": 2, "limit": 5},
            "GET /repos/acme/web/issues?state=all&labels=a%20b%2Cc%26d&page=2&limit=5",
        ),
        ("issue.read", ISSUE, "GET /repos/acme/web/issues/7"),
        ("issue.comment", {**ISSUE, "body": "hi"}, "POST /repos/acme/web/issues/7/comments"),
        (
            "file.read",
            {"owner": "acme", "repo": "web", "path": "docs/a b#?%2f.md", "ref": "feature/x"},
            "GET /repos/acme/web/contents/docs/a%20b%23%3F%252f.md?ref=feature%2Fx",
        ),
        ("pull.read", ISSUE, "GET /repos/acme/web/pulls/7"),
        ("review.read", {**ISSUE, "limit": 50}, "GET /repos/acme/web/pulls/7/reviews?limit=50"),
        (
            "check.read",
            {"owner": "acme", "repo": "web", "commit": "agent/x", "page": 2},
            "GET /repos/acme/web/commits/agent%2Fx/status?page=2",
        ),
    ],
)
def test_the_request_line_is_exact(action: str, args: dict[str, Json], line: str) -> None:
    """Each argument is encoded once, in its place."""
    request = forge.VERBS["gitea"][action].request(args)

    assert f"{request.method} {target(request)}" == line


def test_github_has_another_name_for_the_page_size() -> None:
    """The same arguments, in the provider's own words."""
    request = forge.VERBS["github"]["issue.query"].request({"owner": "acme", "repo": "web", "limit": 5})

    assert target(request) == "/repos/acme/web/issues?per_page=5"


@pytest.mark.parametrize("provider", ["gitea", "github"])
def test_a_query_that_an_upstream_repeats_can_be_asked_again(provider: str) -> None:
    """What goes upstream is a native request with the same meaning, so that paging links work."""
    args = {"owner": "acme", "repo": "web", "state": "all", "labels": "a,b", "page": 2, "limit": 5}

    sent = target(forge.VERBS[provider]["issue.query"].request(args))

    assert catalogue.translate(catalogue.load("forge"), "GET", sent).args == args


def test_github_says_more_of_a_commit_in_check_runs() -> None:
    """The statuses of a commit would leave out what its own CI says."""
    args = {"owner": "acme", "repo": "web", "commit": "abc1", "limit": 50}
    line = target(forge.VERBS["github"]["check.read"].request(args))

    assert line == "/repos/acme/web/commits/abc1/check-runs?per_page=50"


def test_a_comment_is_sent_as_it_was_decided() -> None:
    """Text is neither trimmed nor rewritten."""
    body = "  *bold*\n\t@everyone <!-- hidden --> \u0645\u200d\U0001f469\u200d\U0001f52c\n"

    assert forge.VERBS["gitea"]["issue.comment"].request({**ISSUE, "body": body}).body == {"body": body}


@pytest.mark.parametrize(
    "char", ["\x00", "\x07", "\x1b", "\r", "\x7f", "\x85", "\x9b", "\u202e", "\u2066", "\u200b", "\U000e0041"]
)
def test_control_characters_are_refused_not_removed(char: str) -> None:
    """What a terminal or a log would act on does not reach the forge, and the writer is told."""
    with pytest.raises(Refusal) as caught:
        forge.VERBS["gitea"]["issue.comment"].request({**ISSUE, "body": f"a{char}b"})

    assert caught.value.code == Code.ARGUMENTS_INVALID


def test_what_is_not_seen_is_known_by_its_category() -> None:
    """Every control character but line feed and tab is among what is refused, and no letter is."""
    every = [chr(point) for point in range(sys.maxunicode + 1)]
    refused = [char for char in every if _UNSEEN.match(char)]

    assert {char for char in every if unicodedata.category(char) == "Cc"} - set(refused) == {"\n", "\t"}
    assert {unicodedata.category(char) for char in refused} == {
        "Cc",
        "Cf",
        "Cn",
    }  # tags that nobody has assigned yet are tags


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_a_path_reads_back_as_it_was_given(segments: list[str]) -> None:
    """One segment never becomes two, none becomes a dot segment, and nothing is decoded twice."""
    try:
        line = target(UpstreamRequest("GET", tuple(segments)))
    except (Refusal, UnicodeEncodeError):
        return

    assert [unquote(part) for part in line.split("/")[1:]] == segments
    assert not {"", ".", ".."} & set(line.split("/")[1:])
    assert "?" not in line
    assert "#" not in line


@given(st.text(max_size=30))
def test_no_file_path_that_the_schema_lets_through_leaves_the_repository(path: str) -> None:
    """Schema and encoding together: `contents/` is always in front and every segment is plain."""
    args = {"owner": "acme", "repo": "web", "path": path}
    if schemacheck.fault(catalogue.load("forge").actions["file.read"].arguments, args):
        return

    line = target(forge.VERBS["gitea"]["file.read"].request(args))

    assert line.startswith("/repos/acme/web/contents/")
    assert not {"", ".", ".."} & {unquote(part) for part in line.split("/")[1:]}


@pytest.mark.parametrize(
    ("action", "answer", "references"),
    [
        (
            "issue.query",
            [{"number": 7}, {"number": 9}, "x", {"number": True}],
            [("issue", "7"), ("issue", "9")],
        ),
        ("issue.read", {"number": 7}, [("issue", "7")]),
        ("pull.read", {"head": {"sha": "abc1"}}, [("pull", "7"), ("commit", "abc1")]),
        ("review.read", [{"id": 3}], [("pull", "7"), ("review", "3")]),
        ("check.read", {"sha": "abc1"}, [("ref", "abc1"), ("commit", "abc1")]),
        ("issue.read", None, []),
        ("issue.comment", {"id": 41}, [("issue", "7"), ("comment", "41")]),
        ("issue.comment", {"message": "no"}, [("issue", "7")]),
        ("file.read", {"sha": "abc"}, [("path", "docs/x"), ("blob", "abc")]),
        ("file.read", [{"sha": "abc"}], [("path", "docs/x")]),
    ],
)
def test_references_say_what_was_made_or_seen(action: str, answer: Json, references: list[object]) -> None:
    """They come from arguments and answer, and an odd answer gives fewer, never an error."""
    found = forge.VERBS["gitea"][action].references({**ISSUE, "path": "docs/x", "commit": "abc1"}, answer)

    assert [(reference.kind, reference.id) for reference in found] == references
    assert all(isinstance(reference, Reference) for reference in found)


@pytest.mark.parametrize(
    ("status", "readable", "of_a_read", "of_a_write"),
    [
        (200, True, SUCCEEDED, SUCCEEDED),
        (204, True, SUCCEEDED, SUCCEEDED),
        (201, False, FAILED, UNKNOWN),
        (101, True, FAILED, UNKNOWN),
        (302, True, FAILED, FAILED),
        (403, False, FAILED, FAILED),
        (422, True, FAILED, FAILED),
        (500, True, FAILED, UNKNOWN),
        (504, False, FAILED, UNKNOWN),
    ],
)
def test_an_outcome_claims_no_more_than_is_known(
    status: int, readable: bool, of_a_read: str, of_a_write: str
) -> None:
    """A write is `failed` only when the upstream said no; anything unclear is `unknown`."""
    answer = Answer(status, {}, None, 0, readable)

    assert judge(Effect.READ, answer) == of_a_read
    assert judge(Effect.DRAFT, answer) == of_a_write


@pytest.mark.parametrize(
    ("provider", "base", "scheme"),
    [("gitea", "https://forge.example/api/v1", "token"), ("github", "https://forge.example", "Bearer")],
)
def test_each_provider_is_spoken_to_in_its_way(provider: str, base: str, scheme: str) -> None:
    """Where the API is and how it wants its credential belongs to the provider."""
    found = forge.dialect(provider, "https://forge.example")

    assert (found.base, found.scheme) == (base, scheme)
