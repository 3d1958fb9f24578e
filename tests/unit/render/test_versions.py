"""A pod of the release before is judged by that release's renderer."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import RenderSettings, Source, mismatch, render_pod
from doorward.render.names import RENDERER, RENDERER_ANNOTATION
from doorward.render.versions import RENDERERS, Renderer


def older(*inputs: Any) -> dict[str, Any]:
    """A renderer of another version: its sidecar could write to its own disk."""
    pod = render_pod(*inputs)
    pod["metadata"]["annotations"][RENDERER_ANNOTATION] = "0"
    pod["spec"]["initContainers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
    return pod


BOTH = {**RENDERERS, "0": older}


@pytest.fixture
def source(
    make_task: Callable[..., AgentTask],
    make_role: Callable[..., AgentRole],
    connectors: dict[str, Connector],
) -> Source:
    return Source(make_task(), make_role(), connectors)


def made(source: Source, settings: RenderSettings, render: Renderer = render_pod) -> dict[str, Any]:
    """The pod."""
    return render(source.task, source.role, source.connectors, settings)


def test_the_operators_version_is_known() -> None:
    """What is rendered now can be recognised."""
    assert RENDERERS[RENDERER] is render_pod


def test_a_pod_of_a_known_version_is_what_that_version_makes(
    source: Source, settings: RenderSettings
) -> None:
    """With the older renderer at hand it is believed; without it is not."""
    pod = made(source, settings, older)

    assert mismatch(pod, source, [settings], renderers=BOTH) == ()
    assert [item.pointer for item in mismatch(pod, source, [settings])] == [
        "/metadata/annotations/doorward.dev~1renderer",
        "/spec/initContainers/0/securityContext/readOnlyRootFilesystem",
    ]


def test_an_older_versions_name_opens_nothing_else(source: Source, settings: RenderSettings) -> None:
    """The annotation chooses the renderer; the pod must then be exactly what that one makes."""
    pod = made(source, settings, older)
    pod["spec"]["hostPID"] = True
    renamed = made(source, settings)
    renamed["metadata"]["annotations"][RENDERER_ANNOTATION] = "0"

    assert [item.pointer for item in mismatch(pod, source, [settings], renderers=BOTH)] == ["/spec/hostPID"]
    assert [item.pointer for item in mismatch(renamed, source, [settings], renderers=BOTH)] == [
        "/spec/initContainers/0/securityContext/readOnlyRootFilesystem"
    ]


def test_any_of_the_settings_will_do_and_the_current_ones_are_compared_with(
    source: Source, settings: RenderSettings
) -> None:
    """A refusal names the difference to what is in force now."""
    current = dataclasses.replace(settings, door_image="door:next")
    pod = made(source, settings)
    other = copy.deepcopy(pod)
    other["spec"]["initContainers"][0]["image"] = "door:evil"

    assert mismatch(pod, source, [current, settings]) == ()
    assert [item.rendered for item in mismatch(other, source, [current, settings])] == ["door:next"]


def test_a_pod_without_annotations_is_no_error(source: Source, settings: RenderSettings) -> None:
    """Raw JSON of anybody: whatever is there in their place is only different."""
    pod = made(source, settings)
    for metadata in (None, [], {**pod["metadata"], "annotations": 3}):
        assert mismatch({**pod, "metadata": metadata}, source, [settings]) != ()
