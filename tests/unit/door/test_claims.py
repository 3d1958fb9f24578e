"""What agents say besides their actions, and what the broker says of Grants: read strictly or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from doorward.door import claims, standing
from doorward.errors import Code, Refusal


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Headers of a request."""
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], 0),
        (["wait=30"], 30),
        (["respond-async, wait=5"], 5),
        (["respond-async", "wait=5"], 5),
        (['Wait="7"'], 7),
        (["wait = 8 ; x=y"], 8),
        (["wait=60"], 50),
        (["wait=999999"], 50),
        (["wait=9999999"], 0),
        (["wait=-1"], 0),
        (["wait=1e9"], 0),
        (["wait=\u0663"], 0),
        (["wait"], 0),
    ],
)
def test_how_long_to_wait_is_a_bounded_wish(lines: list[str], seconds: int) -> None:
    """RFC 7240: what cannot be met or read is passed over."""
    assert claims.wait(headers(*(("Prefer", line) for line in lines))) == seconds


def test_a_reason_is_what_was_written() -> None:
    """Any script that people can see."""
    assert claims.reason(headers(("doorward-reason", "Änderung für #7"))) == {"reason": "Änderung für #7"}
    assert claims.reason(headers()) == {}


@pytest.mark.parametrize("text", ["", "a" * 1025, "a\u202eb", "a\u200bb", "tab\there", "\udc80"])
def test_a_reason_that_people_could_not_read_is_refused(text: str) -> None:
    """Too long, empty, or with characters that hide or turn around what follows."""
    with pytest.raises(Refusal) as caught:
        claims.reason(headers(("Doorward-Reason", text)))

    assert caught.value.code is Code.MALFORMED


ASKED = {"connector": "code", "action": "issue.close", "args": {"number": 7}, "escalation": {"what": "x"}}


def test_an_escalation_keeps_its_claim_beside_the_arguments() -> None:
    """What the action does is not the claim's to change."""
    found = claims.escalation(ASKED)

    assert (found.args, found.claim) == ({"number": 7}, {"escalation": {"what": "x"}})


@pytest.mark.parametrize(
    "change",
    [{"args": []}, {"escalation": "please"}, {"connector": 1}, {"action": None}, {"approve": True}],
)
def test_an_escalation_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    """Four members, and no others."""
    with pytest.raises(Refusal) as caught:
        claims.escalation({**ASKED, **change})

    assert caught.value.code is Code.MALFORMED


STANDS = {"grant": "g-1", "state": "active", "approvals": 1, "quorum": 1, "expires": 1000}


def test_the_brokers_word_on_a_grant_is_read() -> None:
    """Each member as it is."""
    assert standing.read(STANDS) == standing.Standing("g-1", "active", 1, 1, 1000)


@pytest.mark.parametrize("change", [{"state": "approved"}, {"approvals": "all"}, {"grant": None}])
def test_a_word_of_another_shape_is_no_approval(change: dict[str, Any]) -> None:
    """What cannot be read is not believed."""
    with pytest.raises(Refusal) as caught:
        standing.read({**STANDS, **change})

    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize(
    "answer",
    [
        {"code": "approval_pending"},
        {"code": "approval_pending", "grant": "g-1", "pending": {"expires": 1000}},
        {"code": "approval_denied", "grant": "g-1", "pending": {"expires": 1, "quorum": 1, "approvals": 0}},
    ],
)
def test_only_a_grant_that_waits_is_waited_for(answer: dict[str, Any]) -> None:
    """Any other no is passed on as it is."""
    assert type(standing.refused(answer, 403)) is Refusal
