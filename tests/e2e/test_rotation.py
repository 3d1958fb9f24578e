"""The running certificates process changes authority and leaves; fifty questions a second go through it all.

They take minutes and restart what other tests use, so they run only when asked for: `just lifecycle`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from admissionload import Load
from apiclient import Api

from devcluster import wait
from doorward.serving.tls import client_context
from testbed import install, node, tasks, tunnel
from testbed.site import CODE, SYSTEM, Site

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.environ.get("DOORWARD_TEST_RESTART") != "yes", reason="restarts Doorward"),
    pytest.mark.timeout(1500),
]

PAUSES = {"DOORWARD_SETTLE_HOURS": "0.02", "DOORWARD_LINGER_HOURS": "0.04", "DOORWARD_INTERVAL": "1"}
"""72 and 144 s: a kubelet takes up to 90 s to hand a Secret on, and a server five to look at its file."""
REACHED = 300
"""Seconds within which a pause must be over, and what is due after it written."""
CONFIGURATIONS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
ADMISSION = f"doorward-admission.{SYSTEM}.svc"

KEYRING = "secrets/doorward-ca-key"
BUNDLES = ("configmaps/doorward-ca", *(f"{kind}/doorward" for kind in CONFIGURATIONS))
LEAVES = tuple(f"secrets/{name}-tls" for name in ("doorward-admission", "doorward-broker", install.CONNECTOR))
STEPS = (
    *(KEYRING, *BUNDLES, *LEAVES),  # the next authority is made, and everybody hears of it
    *(KEYRING, *LEAVES),  # it becomes the active one, and signs
    *(KEYRING, *BUNDLES, *LEAVES),  # the one before is forgotten
)
"""What a rotation writes, one object after the other."""
READ = """
import json, os, urllib.request
url = os.environ["DOORWARD_URL"] + "/v1/actions/code/issue.read"
body = json.dumps({"owner": "acme", "repo": "web", "number": 4}).encode()
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=60).status)
"""


@pytest.fixture
def short(local: Site) -> Iterator[None]:
    """A rotation takes minutes instead of a day; none goes on before."""
    install.doorward(local, certificates={"env": PAUSES})
    reached(local, "active")
    yield
    install.doorward(local)


class Handshakes:
    """What API servers that just started would see: each replica's leaf against each webhook's bundle.

    The one that runs keeps its connections, and so would not notice.
    """

    def __init__(self, site: Site, folder: Path) -> None:
        folder.mkdir()
        self.answers: Counter[str] = Counter()
        self.leaves: dict[str, set[str]] = defaultdict(set)
        """Fingerprints by replica."""
        self._site = site
        self._api = Api(Path(site.facts["KUBECONFIG"]), folder)
        self._stop = threading.Event()
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._run)
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        names = [pod["metadata"]["name"] for pod in install.pods(self._site, "admission")]
        for name in names:
            self._ports[name] = self._stack.enter_context(tunnel.to(self._site, name, SYSTEM, 9443))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._stack.close()
        self._api.close()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            bundles = self._bundles()
            for name, port in self._ports.items():
                for bundle in bundles:
                    self.answers[self._shake(name, port, bundle)] += 1

    def _bundles(self) -> set[str]:
        root = "/apis/admissionregistration.k8s.io/v1"
        found = [self._api("GET", f"{root}/{kind}/doorward").document["webhooks"] for kind in CONFIGURATIONS]
        return {hook["clientConfig"]["caBundle"] for hooks in found for hook in hooks}

    def _shake(self, name: str, port: int, bundle: str) -> str:
        context = client_context(base64.b64decode(bundle).decode())
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 10) as plain,
                context.wrap_socket(plain, server_hostname=ADMISSION) as secured,
            ):
                leaf = secured.getpeercert(binary_form=True) or b""
        except OSError as error:
            return str(error)
        self.leaves[name].add(hashlib.sha256(leaf).hexdigest())
        return "verified"


def place(key: str) -> tuple[str, ...]:
    """How kubectl is told of an object."""
    namespace = CODE if install.CONNECTOR in key else SYSTEM
    return (key, "-n", namespace)


def ring(site: Site) -> dict[str, str]:
    """Certificates in the keyring: active, next, previous."""
    data = site.kubectl.get(*place(KEYRING))["data"]
    return {name.removesuffix(".crt"): text for name, text in data.items() if name.endswith(".crt")}


def reached(site: Site, *slots: str) -> None:
    """Wait until the keyring has exactly these."""
    wait.until(lambda: set(ring(site)) == set(slots), f"a keyring of {', '.join(slots)}", REACHED, every=1)


def ask(site: Site) -> None:
    """Ask for a rotation, as the documentation says."""
    site.kubectl("annotate", *place(KEYRING), "doorward.dev/rotate=now")


def replicas(site: Site) -> dict[str, int]:
    """Admission's pods by uid, with how often they were restarted."""
    found = install.pods(site, "admission")
    return {p["metadata"]["uid"]: p["status"]["containerStatuses"][0]["restartCount"] for p in found}


def told(record: Callable[[str, object], None], load: Load, seen: Handshakes) -> None:
    """Leave the numbers in the report of the run."""
    record("questions", load.answers.total())
    record("handshakes", seen.answers.total())


def acted(site: Site, start: Callable[..., str]) -> str:
    """What a task says whose action went from its door over the broker to the connector and the forge."""
    name = start(READ)
    tasks.finished(site, name)
    return tasks.said(site, name).strip()


def test_no_admission_fails_while_the_process_rotates(
    local: Site, start: Callable[..., str], short: None, tmp_path: Path, record_testsuite_property: Any
) -> None:
    """From the next authority to forgetting the one before: each got its yes, and no replica restarted."""
    before, (old,) = replicas(local), ring(local).values()
    with Load(Path(local.facts["KUBECONFIG"]), tmp_path) as load, Handshakes(local, tmp_path / "s") as seen:
        load.more()
        ask(local)
        for slots in (("active", "next"), ("active", "previous"), ("active",)):
            reached(local, *slots)
            load.more()
    told(record_testsuite_property, load, seen)

    assert dict(load.answers) == {"admitted": load.answers.total()}
    assert dict(seen.answers) == {"verified": seen.answers.total()}
    assert [len(leaves) for leaves in seen.leaves.values()] == [2, 2]
    assert replicas(local) == before
    assert old not in ring(local).values()
    assert acted(local, start) == "200"


class Gate:
    """Lets the process write one object and no other, by the rights of its account."""

    def __init__(self, site: Site) -> None:
        self._site = site
        names = (
            ("clusterrole", "doorward-certificates"),
            ("role", "doorward-certificates", "-n", SYSTEM),
            ("role", f"{install.CONNECTOR}-certificate", "-n", CODE),
        )
        self._rules = {name: site.kubectl.get(*name)["rules"] for name in names}

    def __enter__(self) -> Self:
        self.only("nothing")
        return self

    def __exit__(self, *_: object) -> None:
        for role, rules in self._rules.items():
            self._write(role, rules)

    def only(self, key: str) -> None:
        """What may be written from now on."""
        kept = (key, "configmaps/doorward-renderings")
        for role, rules in self._rules.items():
            self._write(role, [each for rule in rules for each in _narrowed(rule, kept)])

    def _write(self, role: Sequence[str], rules: Sequence[Mapping[str, Any]]) -> None:
        self._site.kubectl("patch", *role, "--type=merge", "-p", json.dumps({"rules": rules}))


def _narrowed(rule: Mapping[str, Any], kept: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A rule without the right to write, and that right for the objects that are kept."""
    yield {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "update"]}
    for resource in rule["resources"]:
        found = [name for name in rule.get("resourceNames", ()) if f"{resource}/{name}" in kept]
        if found and "update" in rule["verbs"]:
            yield {**rule, "resources": [resource], "resourceNames": found, "verbs": ["update"]}


def versions(site: Site) -> dict[str, str]:
    """Every object that a rotation writes."""
    return {
        key: site.kubectl.get(*place(key))["metadata"]["resourceVersion"]
        for key in (KEYRING, *BUNDLES, *LEAVES)
    }


def kill(site: Site) -> None:
    """SIGKILL to the process; another pod takes over at once, not when a restart may be tried again."""

    def started() -> dict[str, Any] | None:
        found = install.pods(site, "certificates")
        return next((p for p in found if p["status"].get("containerStatuses", [{}])[0].get("started")), None)

    pod = wait.until(started, "the process to run", 60)
    node.kill(site, pod, "certificates")
    name = pod["metadata"]["name"]
    site.kubectl("delete", "pod", name, "-n", SYSTEM, "--force", "--grace-period=0", "--wait=false")


def written(site: Site, gate: Gate, key: str) -> set[str]:
    """Let one object be written, and kill the process; what was written in all."""
    before = versions(site)
    gate.only(key)
    path = place(key)

    def changed() -> bool:
        return bool(site.kubectl.get(*path)["metadata"]["resourceVersion"] != before[key])

    wait.until(changed, f"{key} is written", REACHED, every=0.5)
    kill(site)
    after = versions(site)
    return {key for key, version in after.items() if version != before[key]}


def test_no_admission_fails_though_the_process_is_killed_after_each_write(
    local: Site, start: Callable[..., str], short: None, tmp_path: Path, record_testsuite_property: Any
) -> None:
    """Eighteen writes, eighteen pods; each half-done state is met by questions, and the end is a rotation."""
    (old,) = ring(local).values()
    done: list[set[str]] = []
    with Load(Path(local.facts["KUBECONFIG"]), tmp_path) as load, Handshakes(local, tmp_path / "s") as seen:
        load.more()
        with Gate(local) as gate:
            ask(local)
            for key in STEPS:
                done.append(written(local, gate, key))
                load.more()
        reached(local, "active")
        load.more()
    told(record_testsuite_property, load, seen)

    assert done == [{key} for key in STEPS]
    assert dict(load.answers) == {"admitted": load.answers.total()}
    assert dict(seen.answers) == {"verified": seen.answers.total()}
    assert old not in ring(local).values()
    assert acted(local, start) == "200"
