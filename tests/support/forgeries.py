"""The attempts of tests/attacks/people: a case is one request of somebody who is not who it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from admissionworld import API, DIGEST, grant_document
from apiclient import Answer, Api

from doorward.api.v1alpha1 import approval_name

FILE = Path(__file__).parents[1] / "attacks" / "people" / "forgeries.yaml"
BASE = "/apis/doorward.dev/v1alpha1/namespaces/agents"
GRANT = "waits"
"""The Grant that is answered."""
EVERYBODY = "system:authenticated"
_MERGE = "application/merge-patch+json"
_KINDS = {"approvals": "Approval", "revocations": "Revocation", "grants": "Grant", "thaws": "Thaw"}


@dataclass(frozen=True)
class Forgery:
    """One attempt."""

    name: str
    what: str
    user: str
    resource: str
    says: str
    groups: Sequence[str] = ()
    object: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)

    def tried(self, api: Api, task_uid: str) -> Answer:
        """What the API server says to it; nothing is stored."""
        if self.status:
            path = f"{BASE}/{self.resource.replace('/', f'/{self.object}/')}?dryRun=All"
            body = {"status": dict(self.status)}
            return api("PATCH", path, body, user=self.user, groups=self.groups, media_type=_MERGE)
        path = f"{BASE}/{self.resource}?dryRun=All"
        return api("POST", path, self._document(task_uid), user=self.user, groups=self.groups)

    def _document(self, task_uid: str) -> dict[str, Any]:
        right = {
            "approvals": self._approval,
            "grants": lambda: self._grant(task_uid),
            "revocations": dict,
            "thaws": lambda: {"task": "asked", "reason": "looked at it", "user": self.user},
        }
        default = approval_name(GRANT, self.user) if self.resource == "approvals" else "mine"
        metadata = {"name": self.object or default, "namespace": "agents"}
        spec = {**right[self.resource](), **self.spec}
        return {"apiVersion": API, "kind": _KINDS[self.resource], "metadata": metadata, "spec": spec}

    def _approval(self) -> dict[str, Any]:
        return answer(self.user, self.groups)

    def _grant(self, task_uid: str) -> dict[str, Any]:
        found: dict[str, Any] = grant_document(task={"name": "asked", "uid": task_uid}, author=self.user)[
            "spec"
        ]
        return found


def answer(user: str, groups: Sequence[str] = ()) -> dict[str, Any]:
    """The spec of a yes in one's own name, as the webhook fills it in."""
    return {
        "grant": GRANT,
        "digest": DIGEST,
        "decision": "Approve",
        "user": user,
        "groups": [*groups, EVERYBODY],
    }


def forgeries() -> list[Forgery]:
    """All of them."""
    return [Forgery(**case) for case in yaml.safe_load(FILE.read_text())]
