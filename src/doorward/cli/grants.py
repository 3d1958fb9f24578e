"""`kubectl doorward grants`, `approve` and `deny`: what waits for people, and one's own answer to it.

An answer is made with the user's own access and names the digest that was shown, so that what happens
is what was read. Everything that an agent had a say in is shown so that nothing in it is invisible.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from doorward.api.v1alpha1 import Answer, approval_name
from doorward.cli.place import Place, Refused
from doorward.cli.status import table
from doorward.core import plain
from doorward.kube import ApiError, Client, Object
from doorward.kube.resources import APPROVALS, GRANTS, SELF_SUBJECT_REVIEWS, name_of

Confirm = Callable[[str], bool]
"""Asks a question of whoever sits there; whether the answer is yes."""

_HEAD: Final = ("GRANT", "TASK", "ACTION", "ON", "PHASE", "APPROVED", "EXPIRES")
_NEW: Final = "Pending"
"""Phase of a Grant that the broker has not looked at yet."""


async def grants(place: Place, name: str | None) -> None:
    """Show the Grants of the namespace, or one of them whole. Raises `Refused`, `ApiError`."""
    if name is not None:
        place.say(whole(await _found(place, name)))
        return
    found = await place.listed(GRANTS)
    if found:
        place.say(table([_HEAD, *(row(grant) for grant in found)]))
    else:
        place.say(f"nothing waits for people in {place.namespace}")


async def answer(
    place: Place, name: str, decision: Answer, reason: str | None, confirm: Confirm | None
) -> None:
    """Answer a Grant in one's own name; a yes is confirmed unless there is nobody to ask.

    Raises `Refused`, also where it is not confirmed, and `ApiError`.
    """
    grant = await _found(place, name)
    place.say(whole(grant))
    if confirm is not None and not confirm(f"{decision.value} exactly this?"):
        raise Refused(f"not answered: Grant {name} is as it was")
    user = await whoami(place.client)
    spec = {"grant": name, "digest": grant["spec"]["digest"], "decision": decision.value}
    body = {
        "apiVersion": APPROVALS.api_version,
        "kind": APPROVALS.kind,
        "metadata": {"name": approval_name(name, user), "namespace": place.namespace},
        "spec": {**spec, **({"reason": reason} if reason else {})},
    }
    try:
        made = await place.client.create(APPROVALS, body, place.namespace)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        raise Refused(f"{user} has answered Grant {name} already, and an answer stands") from None
    place.say(f"approval/{name_of(made)} created: {user} says {decision.value} to {name}")


async def whoami(client: Client) -> str:
    """The name under which the API server knows us."""
    body = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
    found = await client.create(SELF_SUBJECT_REVIEWS, body)
    return str(found["status"]["userInfo"]["username"])


def row(grant: Object) -> tuple[str, ...]:
    """One line about a Grant."""
    spec, status = grant["spec"], grant.get("status", {})
    named = ", ".join(str(item) for _, item in sorted(spec.get("resource", {}).items()))
    return (
        name_of(grant),
        spec["task"]["name"],
        spec["action"],
        visible(named),
        status.get("phase", _NEW),
        _approved(grant),
        status.get("expiresAt", ""),
    )


def whole(grant: Object) -> str:
    """All that there is to decide by: whose, what, since when and until when, and the agent's own words."""
    spec, status = grant["spec"], grant.get("status", {})
    lines = [
        ("task", f"{spec['task']['name']}, in role {spec['role']['name']} by rule {spec['rule']}"),
        ("action", f"{spec['connector']}/{spec['action']}, at most {spec.get('maxUses', 1)} times"),
        ("asked by", visible(spec.get("author", "nobody that is known"))),
        ("phase", f"{status.get('phase', _NEW)}, {_approved(grant)} approved"),
        ("expires", status.get("expiresAt") or f"{spec.get('expires', '')} after {_made(grant)}"),
        ("digest", spec["digest"]),
    ]
    shown = "\n".join(visible(line) for line in spec["summary"].split("\n"))
    return "\n".join(
        [
            f"grant {name_of(grant)}",
            textwrap.indent(table(lines), "  "),
            textwrap.indent(shown, "  | ", lambda _: True),
            *(textwrap.indent(line, "  ") for line in _claims(spec)),
        ]
    )


def visible(text: str) -> str:
    """The text on one line with everything in it that would not be seen written out."""
    # The broker has written out its own part already, so its backslashes stay as they are.
    return plain.escaped(text).replace("\\\\", "\\")


def _claims(spec: Mapping[str, Any]) -> Iterator[str]:
    """What is said besides, where the summary does not have it already."""
    said = {"reason": spec.get("reason"), **(spec.get("escalation") or {})}
    for name, text in said.items():
        for part in [text] if isinstance(text, str) else text or ():
            if part not in spec["summary"]:
                yield f"claimed, checked by nobody ({name}): {plain.quoted(part)}"


def _approved(grant: Object) -> str:
    return f"{grant.get('status', {}).get('approvals', 0)} of {grant['spec'].get('quorum', 1)}"


def _made(grant: Object) -> str:
    return str(grant["metadata"].get("creationTimestamp", "it was made"))


async def _found(place: Place, name: str) -> Object:
    grant = await place.client.find(GRANTS, name, place.namespace)
    if grant is None:
        raise Refused(f"there is no Grant {name} in {place.namespace}")
    return grant
