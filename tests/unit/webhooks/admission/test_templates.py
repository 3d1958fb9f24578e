"""Workloads are refused when they are applied, with everything that is wrong with their template."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import podattacks
import pytest

from doorward.errors import Refusal
from doorward_webhooks.admission.review import Denied, Operation
from doorward_webhooks.admission.templates import PLACES, decide


def workload(place: tuple[str, ...], template: Mapping[str, Any]) -> dict[str, Any]:
    """An object with a template at its place."""
    document: Any = template
    for key in reversed(place):
        document = {key: document}
    return {"kind": "x", **document}


@pytest.mark.parametrize(("group", "resource"), PLACES, ids=str)
def test_a_workload_is_refused_with_every_place(group: str, resource: str, ask: Any) -> None:
    """Whoever applies a Deployment learns at once that it is no use here, and all that is wrong in it."""
    place = PLACES[group, resource]
    template = {"spec": copy.deepcopy(podattacks.CLEAN["spec"])}
    template["spec"]["volumes"].append({"name": "a", "secret": {"secretName": "x"}})
    with pytest.raises(Denied) as caught:
        decide(ask(group=group, resource=resource, object=workload(place, template)))

    assert ("templates.creator", [f"/{'/'.join(place)}/spec/volumes/4/secret"]) == (
        caught.value.rule,
        [pointer for pointer, _ in caught.value.causes],
    )


@pytest.mark.parametrize(("group", "resource"), PLACES, ids=str)
def test_what_was_there_before_can_be_scaled_down_and_taken_apart(
    group: str, resource: str, ask: Any
) -> None:
    """Enrolling a namespace does not lock up the objects that are in it."""
    old = workload(PLACES[group, resource], {"spec": {"containers": [{"name": "a"}]}})
    new = {**old, "metadata": {"finalizers": []}}
    base = ask(group=group, resource=resource, operation=Operation.UPDATE, object=new, old=old)

    assert decide(base) is None
    assert decide(ask(group=group, resource=resource, operation=Operation.DELETE, object=None)) is None
    for part in ("scale", "status"):
        assert decide(ask(group=group, resource=resource, subresource=part, object={})) is None


def test_a_credential_in_a_template_is_told_of(ask: Any) -> None:
    """No role stands behind a template, so nothing in it is accepted."""
    template = {"spec": copy.deepcopy(podattacks.CLEAN["spec"])}
    template["spec"]["containers"][0]["env"] = [{"name": "A", "value": "ghp_" + "a" * 36}]
    with pytest.raises(Denied) as caught:
        decide(ask(group="apps", resource="deployments", object=workload(("spec", "template"), template)))

    assert [place for place, _ in caught.value.causes] == ["/spec/template/spec/containers/0/env/0/value"]


def test_a_changed_template_is_refused(ask: Any) -> None:
    """An old Deployment gets no new pods."""
    old = workload(("spec", "template"), {"spec": {"containers": [{"name": "a"}]}})
    new = workload(("spec", "template"), {"spec": {"containers": [{"name": "b"}]}})
    with pytest.raises(Denied):
        decide(ask(group="apps", resource="deployments", operation=Operation.UPDATE, object=new, old=old))


def test_an_unknown_workload_is_refused(ask: Any) -> None:
    """A rule that sends us something else is a mistake that fails closed."""
    with pytest.raises(Refusal):
        decide(ask(group="apps", resource="clonesets", object={}))
