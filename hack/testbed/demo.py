"""One agent, one issue, one comment: the story of ./hack/demo, each claim checked as it is made."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any

import yaml

from devcluster.commands import CommandError
from devcluster.settings import HACK
from testbed import install, ledger, outside, tasks
from testbed import site as sites
from testbed.site import AGENTS, Site

EXAMPLES = HACK.parent / "examples"
TASK = "look-at-issue-7"
ISSUE = "/repos/acme/web/issues/7"


class Broken(Exception):  # noqa: N818 - what the transcript says when a claim does not hold
    """A claim of the transcript did not hold."""


def main() -> int:
    """Tell the story; 0 if every claim held."""
    try:
        _story(sites.here())
    except (Broken, CommandError, TimeoutError) as error:
        print(f"\nThis did not hold: {error}", file=sys.stderr)
        return 1
    print("\nEvery claim above was checked as it was made.")
    return 0


def _story(site: Site) -> None:
    _head("Doorward and one connector are installed, each in a namespace of its own")
    install.doorward(site)
    _show(site, "get", "pods", "-A", "-l", "app.kubernetes.io/name=doorward")
    _head("A role says which actions exist; a task asks for one agent, one purpose")
    neighbour = outside.neighbour(site)
    _apply(site, EXAMPLES / "role-issue-helper.yaml", {})
    before = _comments(site)
    tasks.remove(site, TASK)
    _apply(site, EXAMPLES / "task-issue-7.yaml", {"probes": outside.targets(site, neighbour)})
    _head("The agent works; this is what it says")
    task = tasks.finished(site, TASK, seconds=300)
    print(textwrap.indent(tasks.said(site, TASK), "  | "))
    _claim("the task is complete", task["status"]["phase"] in {"Complete", "Succeeded"})
    _head("The forge has one more comment, by the connector's account; the agent never had a token")
    _claim("exactly one comment was made", _comments(site) == before + 1)
    _probes(site, neighbour)
    _secret(site)
    _evidence(site, task["metadata"]["uid"])


def _probes(site: Site, neighbour: str) -> None:
    _head("The agent could reach nothing directly; the same probes from an ordinary pod can succeed")
    fenced = {
        line["name"]: line["reached"] for line in _json_lines(tasks.said(site, TASK)) if "reached" in line
    }
    free = outside.probe(site, outside.targets(site, neighbour))
    for name, reached in free.items():
        print(f"  {name:14} ordinary pod: {_word(reached):12} agent: {_word(fenced[name])}")
    _claim("every probe can succeed", all(free.values()))
    _claim("none succeeded from the agent", not any(fenced.values()))


def _secret(site: Site) -> None:
    _head("A pod with a Secret is refused where it is applied")
    said = tasks.refused(site, outside.pod_with_secret(AGENTS))
    print(textwrap.indent(textwrap.fill(said.split("exit 1: ")[-1], 110), "  | "))
    _claim("the refusal names the field", "secret" in said)


def _evidence(site: Site, uid: str) -> None:
    _head("The ledger has the whole story")
    events = ledger.settled(site, uid)
    for event in events:
        about = " ".join(str(event[key]) for key in ("action", "code", "outcome") if event.get(key))
        print(f"  {event['seq']:>5} {event['event']:22} {about}")
    names = [event["event"] for event in events]
    _claim(
        "permits, redemptions and outcomes are as many",
        names.count("action.permitted")
        == names.count("capability.redeemed")
        == names.count("outcome.reported"),
    )
    _claim("the chain of the whole ledger is unbroken", ledger.verify(site) == "ok")


def _apply(site: Site, path: Any, extra: dict[str, Any]) -> None:
    """Apply an example with this machine's image in it, and show what was applied."""
    document = yaml.safe_load(path.read_text())
    spec = document["spec"]
    image = install.agent_image(site)
    if document["kind"] == "AgentTask":
        spec["agent"]["image"] = image
        spec["input"] |= extra
    else:
        spec["agent"]["images"] = [image]
    print(f"$ kubectl apply -f {path.relative_to(HACK.parent)}")
    print(textwrap.indent(yaml.safe_dump(document, sort_keys=False), "  "))
    site.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))


def _comments(site: Site) -> int:
    return len(site.forge()("GET", f"{ISSUE}/comments"))


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _word(reached: bool) -> str:
    return "reached" if reached else "not reached"


def _head(text: str) -> None:
    print(f"\n== {text}\n", flush=True)


def _show(site: Site, *argv: str) -> None:
    print(f"$ kubectl {' '.join(argv)}")
    print(textwrap.indent(site.kubectl(*argv), "  "))


def _claim(text: str, holds: bool) -> None:
    if not holds:
        raise Broken(text)
    print(f"  [ok] {text}")


if __name__ == "__main__":
    sys.exit(main())
