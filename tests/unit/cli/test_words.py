"""The words of the command line: each in the documentation, and none that does something else."""

from __future__ import annotations

import argparse
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.cli import main as cli
from doorward.cli.status import one, row, table
from doorward.kube import ActingAs

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs/cli.md").read_text()


def parsers(
    parser: argparse.ArgumentParser, command: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every parser with its command."""
    yield command, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from parsers(inner, name)


def section(command: str) -> str:
    """What docs/cli.md says about one command, and about access."""
    parts = re.split(r"^## ", DOCS, flags=re.MULTILINE)
    return "".join(part for part in parts if part.startswith(("Access", f"`kubectl doorward {command}")))


def test_each_flag_is_documented() -> None:
    """In the section of its command, or in that of access."""
    absent = [
        f"{command} {flag}"
        for command, parser in parsers(cli.parser())
        for action in parser._actions
        for flag in action.option_strings
        if f"`{flag}" not in section(command)
    ]

    assert absent == []


def test_each_flag_in_the_documentation_exists() -> None:
    """Nobody is told of a flag that is not there."""
    known = {
        flag
        for _, parser in parsers(cli.parser())
        for action in parser._actions
        for flag in action.option_strings
    }

    assert set(re.findall(r"^\| `(--?[a-z-]+)", DOCS, re.MULTILINE)) <= known


def test_each_command_and_exit_code_is_documented() -> None:
    """The table of codes is that of the program."""
    commands = {command for command, _ in parsers(cli.parser()) if command}
    codes = {int(code) for code in re.findall(r"^\| (\d) \|", DOCS, re.MULTILINE)}

    assert set(re.findall(r"^## `kubectl doorward (\w+)", DOCS, re.MULTILINE)) == commands
    assert codes == {cli.DONE, cli.REFUSED, cli.USAGE, cli.UNANSWERED}


def test_kubectl_finds_the_program() -> None:
    """A plugin is a program called kubectl-NAME."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["scripts"]["kubectl-doorward"].split(":")

    assert getattr(importlib.import_module(module), name) is cli.main


@pytest.mark.parametrize(
    "words", [[], ["enroll"], ["enrol", "a"], ["status", "--dry-run"], ["unenroll", "a", "--create"]]
)
def test_what_is_no_command_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the words that there are."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)

    assert ended.value.code == cli.USAGE
    assert "usage: kubectl doorward" in capsys.readouterr().err


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: here, context: {cluster: c, user: u}}
- {name: there, context: {cluster: c, user: u, namespace: agents}}
"""


def test_the_context_says_the_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with kubectl: the current context or the named one, in the first file that is there."""
    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{tmp_path / 'config'}")

    assert cli.connected(None, None).namespace == "default"
    assert cli.connected(None, "there").namespace == "agents"


@pytest.mark.parametrize(
    ("text", "context"), [(KUBECONFIG, "nowhere"), ("", None), ("clusters: [", None), ("clusters: 5", None)]
)
def test_a_kubeconfig_that_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, context: str | None
) -> None:
    """With a sentence and exit code 3, never with a traceback."""
    (tmp_path / "config").write_text(text)
    flags = ["--kubeconfig", str(tmp_path / "config"), *(["--context", context] if context else [])]

    assert cli.main(["status", *flags]) == cli.UNANSWERED
    assert "no access to a cluster" in capsys.readouterr().err
    assert cli.main(["status", "--kubeconfig", str(tmp_path / "absent")]) == cli.UNANSWERED


WAITING = {
    "metadata": {"name": "fix"},
    "spec": {"role": "fixer"},
    "status": {
        "phase": "Pending",
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Accepted"},
            {
                "type": "PolicyReady",
                "status": "False",
                "reason": "PolicyWidened",
                "message": "It is allow-dns.",
            },
        ],
    },
}


def test_a_task_that_waits_says_for_what() -> None:
    """The first condition that does not hold; with its message when the task is named."""
    assert row(WAITING) == ("fix", "fixer", "Pending", "", "PolicyWidened")
    assert row({**WAITING, "status": {"phase": "Failed", "finishedAt": "x"}})[-1] == ""
    assert "PolicyReady   False   PolicyWidened   It is allow-dns." in one(WAITING)


def test_a_task_that_nobody_looked_at_says_so() -> None:
    """Without a status there is nothing to say, and that is said."""
    assert one({"metadata": {"name": "new"}, "spec": {"role": "r"}}) == "new: not looked at yet"


def test_columns_stand_under_each_other() -> None:
    """Without blanks at the end of a line."""
    assert table([("A", "B"), ("long", "x"), ("s", "")]) == "A      B\nlong   x\ns"


ACTING = KUBECONFIG.replace("{token: t}", "{token: t, as: carol, as-groups: [leads, reviewers]}")


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        (KUBECONFIG, None, None),
        (ACTING, None, ActingAs("carol", ("leads", "reviewers"))),
        (ACTING, ActingAs("dora"), ActingAs("dora")),
    ],
)
def test_impersonation_is_never_passed_over(
    tmp_path: Path, text: str, given: ActingAs | None, expected: ActingAs | None
) -> None:
    """Who acts as somebody else on purpose must not act as themselves: that may be much more."""
    (tmp_path / "config").write_text(text)
    client = cli.connected(str(tmp_path / "config"), None, given)

    assert client._access.acting == expected


def test_impersonation_that_is_not_done_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of it would be somebody else again."""
    (tmp_path / "config").write_text(KUBECONFIG.replace("{token: t}", "{token: t, as: x, as-uid: y}"))

    assert cli.main(["status", "--kubeconfig", str(tmp_path / "config")]) == cli.UNANSWERED
    assert "as-uid" in capsys.readouterr().err
