"""The cluster that `hack/cluster env` describes, with Doorward on it or not yet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from devcluster.forge.client import ForgeClient
from devcluster.kubectl import Kubectl
from devcluster.settings import layout

SYSTEM = "doorward-system"
"""Namespace of the release."""
CODE = "doorward-code"
"""Namespace of the connector named `code`."""
AGENTS = "agents"
"""The enrolled namespace."""


@dataclass(frozen=True)
class Site:
    """One cluster with a forge beside it."""

    facts: dict[str, str]
    kubectl: Kubectl

    @property
    def provider(self) -> str:
        """`local`, `kind` or `existing`."""
        return self.facts["PROVIDER"]

    @property
    def audit_log(self) -> Path:
        """The API server's audit events, where the provider has them."""
        return Path(self.facts["AUDIT_LOG"])

    def forge(self, account: str | None = None) -> ForgeClient:
        """The forge as one of its accounts; as its administrator by default."""
        key = f"GITEA_TOKEN_{account.upper().replace('-', '_')}" if account else "GITEA_ADMIN_TOKEN"
        token = Path(self.facts[key]).read_text().strip()
        return ForgeClient(self.facts["GITEA_URL"], Path(self.facts["GITEA_CA"]), token)

    def environ(self) -> dict[str, str]:
        """Environment for programs that find the cluster by KUBECONFIG, such as helm."""
        return {**os.environ, "KUBECONFIG": self.facts["KUBECONFIG"]}


def here() -> Site:
    """The running cluster. Raises `FileNotFoundError` when there is none: `hack/cluster up` first."""
    lines = layout().facts.read_text().splitlines()
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    return Site(facts, Kubectl(Path(facts["KUBECONFIG"])))
