"""The API server for the api tier: real, bare, and without root's help."""

import json
import subprocess
from pathlib import Path

import pytest

from devcluster.api import start_control_plane
from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl

pytestmark = pytest.mark.api


def test_a_bare_control_plane_counts_writes_and_issues_tokens(tmp_path: Path) -> None:
    """RBAC decides, tokens are issued, each request is in the audit log once; afterwards nothing runs."""
    plane = start_control_plane(tmp_path)
    programs = list(plane.processes)
    try:
        kubectl = Kubectl(plane.kubeconfig)
        kubectl("create", "namespace", "space")
        kubectl("-n", "space", "create", "serviceaccount", "somebody")
        token = kubectl("-n", "space", "create", "token", "somebody").strip()
        with pytest.raises(CommandError, match="forbidden"):
            kubectl("--as", "system:serviceaccount:space:somebody", "get", "pods", "-n", "space")
        events = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
    finally:
        plane.stop()

    made = [e for e in events if e["verb"] == "create" and e["objectRef"]["resource"] == "namespaces"]
    assert token.count(".") == 2
    assert sum(event["objectRef"].get("name") == "space" for event in made) == 1
    assert [_ended(program) for program in programs] == [True, True]


def _ended(program: subprocess.Popen[bytes]) -> bool:
    return program.returncode is not None
