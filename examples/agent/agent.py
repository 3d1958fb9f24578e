"""A small agent: reads its issue, answers it once, and tries what it must not be able to do.

It is an ordinary program. It knows nothing but DOORWARD_URL, holds no credential and uses the standard
library alone. What it prints is its transcript; each direct connection that it tries is one JSON line.

    input of its task:
      repository: acme/web          where it works
      issue: 7                      what it answers
      otherRepository: acme/vault   where it may not read
      probes:                       what it must not reach: name, host, port, tcp or udp
      - {name: gitea, host: 10.201.0.1, port: 3000, protocol: tcp}

Exit code 0 means that everything went as the transcript says it should; 1 that something did not.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

CONNECT_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 120.0
"""How long a part that is away is waited for."""
DNS_QUERY: Final = bytes.fromhex("abcd01000001000000000000") + b"\x07example\x03org\x00\x00\x01\x00\x01"
"""A question for example.org: what a name server anywhere would answer."""


@dataclass(frozen=True)
class Reply:
    """An answer of the door, a refusal included."""

    status: int
    document: Any

    @property
    def code(self) -> str:
        """Why it was refused; empty for a yes."""
        return str(self.document.get("code", "")) if self.status >= 400 else ""

    @property
    def undecided(self) -> bool:
        """Whether nothing was decided, because some part is away: the same may be asked again."""
        return self.code == "unavailable" and "decision" not in self.document


def ask(method: str, path: str, body: Any = None, **headers: str) -> Reply:
    """One request to the door, and the same again for a while where nothing was decided."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (reply := ask_once(method, path, body, **headers)).undecided and time.monotonic() < until:
        time.sleep(1.0)
    return reply


def ask_once(method: str, path: str, body: Any = None, **headers: str) -> Reply:
    """One request to the door."""
    data = None if body is None else json.dumps(body).encode()
    headers |= {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["DOORWARD_URL"] + path, data, headers, method=method)  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=90) as response:
            return Reply(response.status, json.load(response))
    except urllib.error.HTTPError as refused:
        with refused:
            return Reply(refused.code, json.load(refused))


def settled(reply: Reply, transcript: Transcript) -> Reply:
    """The same reply, or, where people have to agree first, what comes of it once they have answered.

    The door keeps the request: asked to wait it answers as soon as somebody did, and running it sends
    nothing again.
    """
    if reply.status != 202:
        return reply
    place = f"/v1/requests/{reply.document['request']}"
    transcript.note(f"      waiting for people: Grant {reply.document['grant']}")
    while reply.status < 300 and reply.document["state"] == "pending":
        reply = ask("GET", place, Prefer="wait=50")
    return reply if reply.code else ask("POST", f"{place}/run")


class Transcript:
    """What was tried, what should have come of it, and whether it did."""

    def __init__(self) -> None:
        self.wrong = 0

    def note(self, text: str) -> None:
        """A line that claims nothing."""
        print(text, flush=True)

    def expect(self, what: str, reply: Reply, *, yes: bool, codes: frozenset[str] = frozenset()) -> bool:
        """Print the step and whether it went as it should."""
        said = "yes" if reply.status < 400 else f"no: {reply.code}"
        right = (reply.status < 400) if yes else bool(reply.code) and (not codes or reply.code in codes)
        self.wrong += not right
        print(f"{'ok ' if right else 'BAD'} {what} -> {reply.status} {said}", flush=True)
        if reply.code:
            for fact in ("detail", "rule", "allowed", "ask", "decision"):
                if fact in reply.document:
                    print(f"      {fact}: {reply.document[fact]}", flush=True)
        return right


def connector_for(action: str, actions: Any) -> str:
    """The connector through which this action exists for us. Raises `SystemExit` when it does not."""
    for item in actions["actions"]:
        if item["action"] == action:
            return str(item["connector"])
    sys.exit(f"BAD no rule gives this task {action}")


def work(transcript: Transcript, task: Any) -> None:
    """Read the issue, answer it once, and find the limits."""
    repository, number = task["input"]["repository"], task["input"]["issue"]
    owner, _, repo = repository.partition("/")
    actions = ask("GET", "/v1/actions")
    transcript.expect("ask which actions exist", actions, yes=True)
    code = connector_for("issue.read", actions.document)

    issue = ask("GET", f"/via/{code}/repos/{repository}/issues/{number}")
    if not transcript.expect(f"read issue {number} of {repository} over plain HTTP", issue, yes=True):
        return
    transcript.note(f"      title: {issue.document['title']}")

    comment = {"owner": owner, "repo": repo, "number": number}
    comment["body"] = f'I looked at "{issue.document["title"]}" and will keep an eye on it.'
    first = settled(ask("POST", f"/v1/actions/{code}/issue.comment", comment), transcript)
    if transcript.expect("comment on it", first, yes=True):
        transcript.note(f"      receipt: {json.dumps(first.document['receipt'], sort_keys=True)}")
    again = ask("POST", f"/v1/actions/{code}/issue.comment", comment)
    transcript.expect("comment a second time", again, yes=False, codes=frozenset({"limit_exceeded"}))

    other = task["input"].get("otherRepository")
    if other:
        elsewhere = ask("GET", f"/via/{code}/repos/{other}/issues/1")
        denied = frozenset({"no_rule", "above_ceiling", "out_of_scope"})
        transcript.expect(f"read an issue of {other}", elsewhere, yes=False, codes=denied)


def probe(target: Any) -> dict[str, Any]:
    """Try to reach something without the door. The finding, as it is printed."""
    host, port, protocol = str(target["host"]), int(target["port"]), str(target.get("protocol", "tcp"))
    try:
        answer = _datagram(host, port) if protocol == "udp" else _connection(host, port)
    except OSError as error:
        reached, detail = False, f"{type(error).__name__}: {error}"
    else:
        reached, detail = True, answer
    return {
        "name": target["name"],
        "target": f"{host} {protocol}/{port}",
        "reached": reached,
        "detail": detail,
    }


def _connection(host: str, port: int) -> str:
    with socket.create_connection((host, port), CONNECT_SECONDS):
        return "connected"


def _datagram(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sending:
        sending.settimeout(CONNECT_SECONDS)
        sending.connect((host, port))
        sending.send(DNS_QUERY)
        return f"{len(sending.recv(512))} bytes came back"


def look_around(transcript: Transcript, task: Any) -> None:
    """Try everything that the network must not carry, and our own environment for secrets."""
    for target in task["input"].get("probes", []):
        found = probe(target)
        transcript.wrong += bool(found["reached"])
        transcript.note(json.dumps(found, sort_keys=True))
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    found = {"name": "service-account-token", "target": token, "reached": os.path.exists(token)}  # noqa: PTH110
    transcript.wrong += bool(found["reached"])
    transcript.note(json.dumps(found, sort_keys=True))


def main() -> int:
    """Everything, in order."""
    transcript = Transcript()
    task = ask("GET", "/v1/task")
    if transcript.expect("read my task", task, yes=True):
        transcript.note(
            f"      I am {task.document['namespace']}/{task.document['name']} as {task.document['role']}"
        )
        work(transcript, task.document)
        look_around(transcript, task.document)
    transcript.note(
        "all as it should be" if not transcript.wrong else f"{transcript.wrong} things went wrong"
    )
    return 1 if transcript.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
