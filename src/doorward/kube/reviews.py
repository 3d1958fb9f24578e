"""Asking the API server who somebody is and what they may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from doorward.errors import Code, Refusal
from doorward.kube.client import Client
from doorward.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Object

_EXTRA: Final = "authentication.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds a token, as the API server says."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def pod_name(self) -> str:
        """The pod that the token is bound to; empty if it is bound to none."""
        return self._bound("pod-name")

    @property
    def pod_uid(self) -> str:
        """UID of that pod."""
        return self._bound("pod-uid")

    @property
    def service_account(self) -> tuple[str, str]:
        """`(namespace, name)` of the service account; empty strings for anybody else."""
        parts = self.username.split(":")
        if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
            return "", ""
        return parts[2], parts[3]

    def _bound(self, name: str) -> str:
        found = self.extra.get(_EXTRA + name, ())
        return found[0] if len(found) == 1 else ""


async def token_review(client: Client, token: str, audience: str) -> Identity:
    """Who holds the token. Asks every time: a token ends with its pod, at once.

    Raises `Refusal(session_invalid)` for a token that is not valid for exactly this audience, and
    `ApiError` when the question was not answered.
    """
    body: Object = {
        "apiVersion": TOKEN_REVIEWS.api_version,
        "kind": TOKEN_REVIEWS.kind,
        "spec": {"token": token, "audiences": [audience]},
    }
    # The server answers a question without a token with a 400, which is no answer about anybody.
    status = (await client.create(TOKEN_REVIEWS, body)).get("status", {}) if token else {}
    # A server that does not know about audiences answers without them: that is a no.
    if status.get("authenticated") is not True or audience not in status.get("audiences", []):
        raise Refusal(
            Code.SESSION_INVALID,
            "the API server does not vouch for the token",
            allowed=f"a token of a running pod for the audience {audience}",
        )
    user = status["user"]
    return Identity(
        user["username"], user.get("uid", ""), tuple(user.get("groups", ())), user.get("extra", {})
    )


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that somebody may or may not do."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


async def subject_access_review(client: Client, who: Identity, access: Access) -> bool:
    """Whether RBAC lets them. Only a clear yes is True."""
    attributes = {
        "verb": access.verb,
        "resource": access.resource,
        "group": access.group,
        "namespace": access.namespace,
        "name": access.name,
        "subresource": access.subresource,
    }
    body: Object = {
        "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SUBJECT_ACCESS_REVIEWS.kind,
        "spec": {
            "user": who.username,
            "uid": who.uid,
            "groups": list(who.groups),
            "extra": {key: list(values) for key, values in who.extra.items()},
            "resourceAttributes": {key: text for key, text in attributes.items() if text},
        },
    }
    status = (await client.create(SUBJECT_ACCESS_REVIEWS, body)).get("status", {})
    return status.get("allowed") is True and status.get("denied") is not True
