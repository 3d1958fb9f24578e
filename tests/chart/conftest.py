"""Charts as the real helm renders them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import tools

ROOT = Path(__file__).parents[2]
SYSTEM = "doorward-system"
KUBERNETES = "1.34.4"

Manifest = dict[str, Any]
Render = Callable[..., str]

DOORWARD = ("--set", "enrolled[0].name=agents", "--set", "enrolled[0].create=true")
CONNECTOR = (
    *("--set", "name=code", "--set", "upstream.url=https://git.example"),
    *("--set", "credential.existingSecret=code-token", "--set", "connector.create=true"),
)


@pytest.fixture(scope="session")
def helm() -> Path:
    """The helm that was built with the development cluster."""
    tools.build(["helm"])
    return tools.path("helm")


@pytest.fixture(scope="session")
def render(helm: Path) -> Render:
    """`render("doorward", *flags)`: the manifests as text. Raises `CalledProcessError`."""

    def run(chart: str, *flags: str) -> str:
        namespace = SYSTEM if chart == "doorward" else "doorward-code"
        defaults = DOORWARD if chart == "doorward" else CONNECTOR
        command = [
            str(helm), "template", "release", str(ROOT / "charts" / chart),
            "--namespace", namespace, "--kube-version", KUBERNETES, *defaults, *flags,
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture
def connector_notes(render: Render, tmp_path: Path) -> Render:
    """`connector_notes(*flags)`: what helm tells whoever installs a connector.

    `helm template` leaves notes out and `helm install` wants a cluster, so a copy of the chart shows them
    in a manifest.
    """
    copy = tmp_path / "chart"
    shutil.copytree(ROOT / "charts" / "doorward-connector", copy)
    notes = (copy / "templates" / "NOTES.txt").read_text("utf-8")
    (copy / "templates" / "_notes.tpl").write_text('{{ define "notes" }}' + notes + "{{ end }}")
    shown = 'kind: Notes\napiVersion: v1\nmetadata: {name: notes}\ntext: {{ include "notes" . | toJson }}\n'
    (copy / "templates" / "notes.yaml").write_text(shown)

    def run(*flags: str) -> str:
        (only,) = objects(render(str(copy), "--show-only", "templates/notes.yaml", *flags))
        text: str = only["text"]
        return text

    return run


@pytest.fixture(scope="session")
def manifests(render: Render) -> Mapping[str, list[Manifest]]:
    """Both charts with their default values and one namespace enrolled, by chart."""
    return {chart: objects(render(chart)) for chart in ("doorward", "doorward-connector")}


def objects(text: str) -> list[Manifest]:
    """The objects of a rendering."""
    return [found for found in yaml.safe_load_all(text) if found]
