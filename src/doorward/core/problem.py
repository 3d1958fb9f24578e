"""A refusal as a problem document (RFC 9457)."""

from __future__ import annotations

from typing import Final

from doorward.errors import Code, Refusal

MEDIA_TYPE: Final = "application/problem+json"
MEMBERS: Final = ("grant", "pending")
"""Members beyond the usual ones: the Grant that waits, and {expires, quorum, approvals} of it."""
_TYPE_PREFIX: Final = "https://doorward.dev/problems/"


def document(refusal: Refusal) -> dict[str, object]:
    """The members of the problem document; absent facts are left out."""
    members: dict[str, object] = {
        "type": _TYPE_PREFIX + refusal.code.value,
        "title": refusal.code.value.replace("_", " "),
        "status": refusal.status,
        "code": refusal.code.value,
        "detail": refusal.detail,
        "rule": refusal.rule,
        "allowed": refusal.allowed,
        "ask": refusal.ask,
        "decision": refusal.decision,
        **{name: refusal.members.get(name) for name in MEMBERS},
    }
    return {name: value for name, value in members.items() if value is not None}


def from_document(document: object, status: int) -> Refusal:
    """The refusal another part answered with; an answer without a known code is `unavailable`."""
    if not isinstance(document, dict) or document.get("code") not in set(Code):
        return Refusal(Code.UNAVAILABLE, f"an answer without a code (HTTP {status})")
    texts = {name: document.get(name) for name in ("rule", "allowed", "ask", "decision")}
    return Refusal(
        Code(document["code"]),
        str(document.get("detail", "")),
        status=status,
        members={name: document[name] for name in MEMBERS if name in document},
        **{name: value for name, value in texts.items() if isinstance(value, str)},
    )
