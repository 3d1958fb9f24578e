"""A compromised agent cannot bring unreviewed code to production: five lines, on the real cluster and forge.

The catalogue of this release has no merge, deployment or tag. There the proof is that no spelling of them
leaves the door, typed or in the forge's own API, and that nothing of them happened in the forge.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed import tasks
from testbed.site import Site

pytestmark = pytest.mark.e2e

WEB = "/repos/acme/web"


@pytest.fixture(scope="module")
def pull(site: Site) -> Iterator[dict[str, Any]]:
    """A pull request that nobody has reviewed."""
    forge, branch = site.forge(), f"agent/{uuid.uuid4().hex[:8]}"
    content = base64.b64encode(b"unreviewed").decode()
    change = {"branch": "main", "new_branch": branch, "content": content, "message": "Change"}
    forge("POST", f"{WEB}/contents/{branch.replace('/', '-')}.txt", change)
    made: dict[str, Any] = forge(
        "POST", f"{WEB}/pulls", {"base": "main", "head": branch, "title": "Unreviewed"}
    )
    yield made
    forge("PATCH", f"{WEB}/pulls/{made['number']}", {"state": "closed"})
    forge("DELETE", f"{WEB}/branches/{branch.replace('/', '%2F')}")


@pytest.fixture(scope="module")
def before(site: Site, pull: dict[str, Any]) -> dict[str, Any]:
    """What the forge held before the agent ran."""
    return _state(site, pull)


@pytest.fixture(scope="module")
def tried(
    site: Site, start_shared: Callable[..., str], pull: dict[str, Any], before: dict[str, Any]
) -> dict[str, Any]:
    """What a compromised agent was answered; it has the program of tests/e2e/agents/promote.py."""
    given = {"issue": 3, "pull": pull["number"], "forge": site.facts["GITEA_URL"]}
    name = start_shared("promote.py", input=given)
    tasks.finished(site, name)
    found: dict[str, Any] = json.loads(tasks.said(site, name).splitlines()[-1])
    return found


def _state(site: Site, pull: dict[str, Any]) -> dict[str, Any]:
    forge = site.forge()
    return {
        "merged": forge("GET", f"{WEB}/pulls/{pull['number']}")["merged"],
        "reviews": len(forge("GET", f"{WEB}/pulls/{pull['number']}/reviews")),
        "main": forge("GET", f"{WEB}/branches/main")["commit"]["id"],
        "tags": sorted(tag["name"] for tag in forge("GET", f"{WEB}/tags")),
        "releases": len(forge("GET", f"{WEB}/releases")),
    }


def _answers(tried: dict[str, Any], *names: str) -> list[Any]:
    return [tried[name] for name in names]


def test_it_can_create_a_draft(tried: dict[str, Any]) -> None:
    """A comment is the draft that this release has: it goes through, so the refusals below are no outage."""
    assert tried["draft"] == "200"


def test_it_cannot_merge_without_review(tried: dict[str, Any], before: dict[str, Any]) -> None:
    """Neither merge nor approve its own work nor write to main: for its role none of that exists."""
    found = _answers(tried, "merge", "merge natively", "approve itself", "push to main")

    assert found == ["unknown_action"] * 4
    assert before["merged"] is False


def test_it_cannot_deploy_around_the_pipeline(tried: dict[str, Any]) -> None:
    """No deployment, no way to start the pipeline itself, and no packet to the forge past the door."""
    found = _answers(tried, "deploy", "dispatch the pipeline", "around the door")

    assert found == ["unknown_action", "unknown_action", False]


def test_it_cannot_sneak_a_tag_past_policy(tried: dict[str, Any]) -> None:
    """Neither a tag nor a release that would make one."""
    assert _answers(tried, "tag", "tag natively", "release natively") == ["unknown_action"] * 3


def test_one_credential_is_of_no_use_elsewhere(tried: dict[str, Any]) -> None:
    """What is allowed in one repository is refused in another and through another Connector.

    The release has no environments yet; that a stolen capability is worth nothing to another task or
    connector is proved in test_stolen_capability.py.
    """
    found = _answers(tried, "elsewhere", "elsewhere natively", "another connector")

    assert found == ["no_rule", "no_rule", "unknown_action"]


def test_nothing_of_it_happened(
    site: Site, tried: dict[str, Any], pull: dict[str, Any], before: dict[str, Any]
) -> None:
    """The forge is what it was, by its own account: not merged, not approved, main and tags unmoved."""
    assert _state(site, pull) == before
