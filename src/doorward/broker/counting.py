"""Whether a person's answer counts: asked again here, whatever admission said when it was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from doorward.api.v1alpha1 import Approval, Grant
from doorward.broker.cluster import Cluster
from doorward.broker.opening import seconds_of
from doorward.errors import Code
from doorward.kube import Access, Identity
from doorward.ledger import Counted, GrantRow

_GROUP: Final = "doorward.dev"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an answer does not count."""

    code: Code
    detail: str


@dataclass
class Counter:
    """Judges answers: the plain facts first, then what RBAC says now of user and groups."""

    cluster: Cluster
    enrolled: Callable[[str], bool]
    """Whether agents run in a namespace."""

    async def judge(self, grant: Grant, row: GrantRow, found: Approval, maker: str) -> Counted:
        """The answer as the ledger takes it in; `maker` made the task, perhaps for somebody else.

        Raises `Refusal(unavailable)`: then nothing is known yet.
        """
        objection = plainly_wrong(grant, row, found, self.enrolled)
        objection = (
            objection or _too_close(row, found.spec.user or "", maker) or await self._unentitled(row, found)
        )
        return Counted(
            user=found.spec.user or "",
            decision=found.spec.decision.value,
            groups=found.spec.groups,
            approval_uid=found.metadata.uid,
            recorded_at=0.0,
            refused=objection.code.value if objection else None,
            refusal=objection.detail if objection else None,
        )

    async def _unentitled(self, row: GrantRow, found: Approval) -> Objection | None:
        who = Identity(found.spec.user or "", groups=found.spec.groups)

        def access(verb: str, subresource: str = "") -> Access:
            return Access(verb, "agentroles", _GROUP, row.namespace, row.role, subresource)

        may = await self.cluster.allows(who, access("approve"))
        if not may and not await self.cluster.allows(who, access("approve", row.rule)):
            return _reserved(f"may not `approve` for agentroles/{row.role} or its rule {row.rule}")
        if await self.cluster.allows(who, access("use")):
            return _reserved(f"may `use` agentroles/{row.role}, so somebody else approves for it")
        return None


def plainly_wrong(
    grant: Grant, row: GrantRow, found: Approval, enrolled: Callable[[str], bool]
) -> Objection | None:
    """What is wrong with the answer, whatever RBAC says. Pure."""
    if found.spec.digest != row.digest:
        return Objection(Code.GRANT_STALE, "names another digest than the Grant")
    if seconds_of(found.metadata.creation_timestamp) < seconds_of(grant.metadata.creation_timestamp):
        return Objection(Code.GRANT_STALE, "is older than the Grant: it answered another of its name")
    return _no_person(found.spec.user or "", enrolled)


def _too_close(row: GrantRow, user: str, maker: str) -> Objection | None:
    """Whether somebody stands too close to the request to judge it."""
    if user in {row.requested_by, row.author, maker}:
        return _reserved("is by who asked for the task, made it, or made the Grant")
    return None


def _no_person(user: str, enrolled: Callable[[str], bool]) -> Objection | None:
    """Whether nobody answers, or an account from where agents run."""
    if not user:
        return _reserved("names nobody")
    parts = user.split(":")
    if parts[:2] == ["system", "serviceaccount"] and (len(parts) != 4 or enrolled(parts[2])):
        return _reserved("is by a service account of a namespace in which agents run")
    return None


def _reserved(detail: str) -> Objection:
    return Objection(Code.RESERVED, detail)
