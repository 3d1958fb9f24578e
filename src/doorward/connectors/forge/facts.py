"""What the broker takes from an answer as facts: few members, in one shape for every provider.

None stands for an answer that does not say it all: a page that may not be the last, or another shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from doorward.core.strictjson import Json, JsonObject

StateOf = Callable[[Json], str]
"""Says how a check stands; `success` alone is green."""

_DECISIVE: Final = frozenset({"APPROVED", "REQUEST_CHANGES", "CHANGES_REQUESTED", "DISMISSED"})
"""States of a review that replace what the same person said before."""


def head(_: JsonObject, answer: Json) -> Json:
    """The head commit of a pull request."""
    found = _member(_member(answer, "head"), "sha")
    return found if isinstance(found, str) and found else None


def statuses(_: JsonObject, answer: Json) -> Json:
    """Gitea: the latest status of each context, as {name, green, state}, in the order of their names."""
    return _checks(answer, "statuses", "context", _status)


def check_runs(_: JsonObject, answer: Json) -> Json:
    """GitHub: the check runs of a commit, as {name, green, state}, in the order of their names."""
    return _checks(answer, "check_runs", "name", _conclusion)


def reviews(args: JsonObject, answer: Json) -> Json:
    """The last word of each person, as {user, approved, state, commit}, in the order of their names."""
    limit = args.get("limit")
    if not isinstance(answer, list) or not isinstance(limit, int) or len(answer) >= limit:
        return None
    last = dict(_words(answer))
    return [last[user] for user in sorted(last)]


def _words(answer: list[Json]) -> Iterator[tuple[str, Json]]:
    for item in answer:
        user, state = _member(_member(item, "user"), "login"), _member(item, "state")
        if not isinstance(user, str) or state not in _DECISIVE:
            continue
        void = _member(item, "dismissed") is True or _member(item, "stale") is True
        commit = _member(item, "commit_id")
        yield (
            user,
            {
                "user": user,
                "approved": state == "APPROVED" and not void,
                "state": str(state),
                "commit": commit if isinstance(commit, str) else "",
            },
        )


def _checks(answer: Json, members: str, name: str, state_of: StateOf) -> Json:
    items, total = _member(answer, members), _member(answer, "total_count")
    found = [] if items is None and total == 0 else items
    if not isinstance(found, list) or total != len(found):
        return None
    rows = [(str(_member(item, name)), state_of(item)) for item in found]
    return [{"name": title, "green": state == "success", "state": state} for title, state in sorted(rows)]


def _status(item: Json) -> str:
    return str(_member(item, "status"))


def _conclusion(item: Json) -> str:
    done = _member(item, "status") == "completed"
    return str(_member(item, "conclusion") if done else _member(item, "status"))


def _member(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, Mapping) else None
