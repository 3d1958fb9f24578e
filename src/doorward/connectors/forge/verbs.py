"""One function per action: typed arguments in, one upstream request out.

An upstream repeats the query in its `Link` header, and whoever follows that comes back through the
door: nothing is added to a query that a native request could not have said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

from doorward.connectors.forge import facts
from doorward.connectors.gate import Verb
from doorward.connectors.upstream import UpstreamRequest
from doorward.connectors.wire import Reference
from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal

_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u200b\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069"
    "\U000e0000-\U000e007f]"
)
"""Controls but line feed and tab, zero-width characters, bidirectional overrides and isolates, tags: unseen
by themselves, or what comes after them is not read as it is written (Unicode TR36, 3.1).

Joiners stay: scripts and emoji are written with them.
"""


def issue_query(page_size: str, args: JsonObject) -> UpstreamRequest:
    """List issues; `page_size` is the provider's name for the argument `limit`."""
    query = {**_given(args, "state", "labels"), **_paged(args, page_size)}
    return UpstreamRequest("GET", (*_repository(args), "issues"), query)


def issue_read(args: JsonObject) -> UpstreamRequest:
    """Read one issue."""
    return UpstreamRequest("GET", (*_repository(args), "issues", str(args["number"])))


def issue_comment(args: JsonObject) -> UpstreamRequest:
    """Write a comment: the text exactly as it was decided, or not at all."""
    body = str(args["body"])
    if _UNSEEN.search(body):
        raise Refusal(
            Code.ARGUMENTS_INVALID,
            "the text holds a character that its readers would not see, or that reorders what they see",
            allowed="printable text, line feeds and tabs",
        )
    segments = (*_repository(args), "issues", str(args["number"]), "comments")
    return UpstreamRequest("POST", segments, body={"body": body})


def file_read(args: JsonObject) -> UpstreamRequest:
    """Read a file (base64 in `content`) or list a folder."""
    segments = (*_repository(args), "contents", *str(args["path"]).split("/"))
    return UpstreamRequest("GET", segments, _given(args, "ref"))


def pull_read(args: JsonObject) -> UpstreamRequest:
    """Read one pull request."""
    return UpstreamRequest("GET", (*_repository(args), "pulls", str(args["number"])))


def review_read(page_size: str, args: JsonObject) -> UpstreamRequest:
    """List the reviews of a pull request."""
    segments = (*_repository(args), "pulls", str(args["number"]), "reviews")
    return UpstreamRequest("GET", segments, _paged(args, page_size))


def check_read(page_size: str, last: str, args: JsonObject) -> UpstreamRequest:
    """Read what CI says of a commit; `last` is the provider's name for that."""
    segments = (*_repository(args), "commits", str(args["commit"]), last)
    return UpstreamRequest("GET", segments, _paged(args, page_size))


def _paged(args: JsonObject, page_size: str) -> dict[str, str]:
    query = _given(args, "page")
    if "limit" in args:
        query[page_size] = str(args["limit"])
    return query


def _repository(args: JsonObject) -> tuple[str, str, str]:
    return ("repos", str(args["owner"]), str(args["repo"]))


def _given(args: JsonObject, *names: str) -> dict[str, str]:
    return {name: str(args[name]) for name in names if name in args}


def _issues_seen(_: JsonObject, answer: Json) -> tuple[Reference, ...]:
    items = answer if isinstance(answer, list) else [answer]
    return tuple(_references(items, "issue", "number", "state"))


def _comment_made(args: JsonObject, answer: Json) -> tuple[Reference, ...]:
    return (Reference("issue", str(args["number"])), *_references([answer], "comment", "id"))


def _file_seen(args: JsonObject, answer: Json) -> tuple[Reference, ...]:
    path = Reference("path", str(args["path"]))
    return (path, *_references([answer], "blob", "sha"))


def _pull_seen(args: JsonObject, answer: Json) -> tuple[Reference, ...]:
    head = answer.get("head") if isinstance(answer, Mapping) else None
    pulls = _references([answer], "pull", "number", "state") or [Reference("pull", str(args["number"]))]
    return (*pulls, *_references([head], "commit", "sha"))


def _reviews_seen(args: JsonObject, answer: Json) -> tuple[Reference, ...]:
    items = answer if isinstance(answer, list) else [answer]
    return (Reference("pull", str(args["number"])), *_references(items, "review", "id"))


def _checks_seen(args: JsonObject, answer: Json) -> tuple[Reference, ...]:
    return (Reference("ref", str(args["commit"])), *_references([answer], "commit", "sha"))


def _references(items: list[Json], kind: str, member: str, state: str = "") -> list[Reference]:
    found = [(item.get(member), item.get(state)) for item in items if isinstance(item, Mapping)]
    return [Reference(kind, str(value), _state(said)) for value, said in found if _identifies(value)]


def _state(said: Json) -> str | None:
    return said if isinstance(said, str) and said in {"open", "closed"} else None


def _identifies(value: Json) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _verbs(page_size: str) -> Mapping[str, Verb]:
    return {
        "issue.query": Verb(partial(issue_query, page_size), _issues_seen),
        "issue.read": Verb(issue_read, _issues_seen),
        "issue.comment": Verb(issue_comment, _comment_made),
        "file.read": Verb(file_read, _file_seen),
        "pull.read": Verb(pull_read, _pull_seen, facts.head),
        "review.read": Verb(partial(review_read, page_size), _reviews_seen, facts.reviews),
    }


_STATUSES: Final = Verb(partial(check_read, "limit", "status"), _checks_seen, facts.statuses)
_CHECK_RUNS: Final = Verb(partial(check_read, "per_page", "check-runs"), _checks_seen, facts.check_runs)

VERBS: Final[Mapping[str, Mapping[str, Verb]]] = {
    "gitea": {**_verbs("limit"), "check.read": _STATUSES},
    "github": {**_verbs("per_page"), "check.read": _CHECK_RUNS},
}
"""Provider -> action -> how it is carried out."""
