"""The policies as the cluster itself sees them."""

from __future__ import annotations

from typing import Any

from devcluster.wait import until
from testbed.site import Site


def checked(site: Site) -> dict[str, Any]:
    """What the cluster's own type checker says of each of our policies; empty until it has looked at all."""
    labels = "app.kubernetes.io/name=doorward"
    found = site.kubectl.get("validatingadmissionpolicies", "-l", labels)["items"]
    checks = {item["metadata"]["name"]: item.get("status", {}).get("typeChecking") for item in found}
    return checks if checks and None not in checks.values() else {}


def test_every_policy_type_checks(site: Site) -> None:
    """No expression names a field that the objects it is asked about do not have."""
    found = until(lambda: checked(site), "the policies to be type-checked", seconds=240)

    assert [name for name, warnings in found.items() if warnings] == []
