"""The renderers that are known, and whether a pod is what one of them makes.

A pod says in its annotation `doorward.dev/renderer` which version made it. A release whose renderer
differs brings the version before along, so that the tasks of the release before run to their end:
`RENDERERS` then has two entries, and the older one goes with the release after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import names
from doorward.render.equality import Difference, differences
from doorward.render.pod import render_pod
from doorward.render.settings import RenderSettings

Renderer = Callable[[AgentTask, AgentRole, Mapping[str, Connector], RenderSettings], dict[str, Any]]

RENDERERS: Final[Mapping[str, Renderer]] = {names.RENDERER: render_pod}
"""By version. The operator renders with `names.RENDERER` alone."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a task's pod is made from, besides the settings."""

    task: AgentTask
    role: AgentRole
    connectors: Mapping[str, Connector]


def mismatch(
    live: Mapping[str, Any],
    source: Source,
    settings: Sequence[RenderSettings],
    *,
    stored: bool = False,
    renderers: Mapping[str, Renderer] = RENDERERS,
) -> tuple[Difference, ...]:
    """How a pod differs from its rendering; empty when any of the settings gives exactly this pod.

    `settings` holds at least one, those in force now first: where none fits, the differences are to
    them. A version that nobody knows is judged as the current one, and differs in its annotation.
    `stored` as in `differences`. Raises `Refusal` as `render_pod` does.
    """
    render = renderers.get(_version(live)) or renderers[names.RENDERER]
    first: tuple[Difference, ...] = ()
    for each in settings:
        found = differences(live, render(source.task, source.role, source.connectors, each), stored=stored)
        if not found:
            return ()
        first = first or found
    return first


def _version(live: Mapping[str, Any]) -> str:
    metadata = live.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return str(annotations.get(names.RENDERER_ANNOTATION)) if isinstance(annotations, Mapping) else ""
