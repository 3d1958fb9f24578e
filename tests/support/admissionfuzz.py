"""What every input to admission must come to: a no, or a yes that an independent reading of it justifies."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import podattacks
from admissionworld import OPERATOR, connector_document, role_document, task_document

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Grant
from doorward.errors import Refusal
from doorward.render import RenderSettings, render_pod
from doorward_webhooks.admission import defaults, pods, review, templates
from doorward_webhooks.admission.known import SCHEDULER, Surroundings

_CA: Final = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_IMAGE: Final = b'{"doorImage": "registry.example/door@sha256:' + b"a" * 64 + b'"}'
_ADDED: Final = (
    ("metadata", "creationTimestamp"),
    ("metadata", "generation"),
    ("metadata", "managedFields"),
    ("metadata", "uid"),
    ("status", "phase"),
    ("status", "qosClass"),
)


class OneTask:
    """A cluster with one task, as admission knows it."""

    def __init__(self) -> None:
        self._task = AgentTask.parse(task_document())
        self._role = AgentRole.parse(role_document())
        self._connectors = {"code": Connector.parse(connector_document())}
        self._settings = RenderSettings.load(_IMAGE, ca_pem=_CA, broker_ip="10.96.0.10")
        self.around = Surroundings(OPERATOR, self, (self._settings,))
        self.rendered = render_pod(self._task, self._role, self._connectors, self._settings)

    def task(self, namespace: str, name: str) -> AgentTask | None:
        """A task by name."""
        return self._task if (namespace, name) == ("agents", "fix-7") else None

    def role(self, namespace: str, name: str) -> AgentRole | None:
        """A role by name."""
        return self._role if (namespace, name) == ("agents", "bug-fixer") else None

    def grant(self, namespace: str, name: str) -> Grant | None:  # noqa: ARG002 - there is none
        """No grant."""
        return None

    def connectors(self) -> Mapping[str, Connector]:
        """The one connector."""
        return self._connectors


WORLD: Final = OneTask()


def asked(pod: Mapping[str, Any] | None = None, *, update: bool = False) -> dict[str, Any]:
    """The API server's question about a pod, by default the rendered one; `update` writes it again."""
    found: dict[str, Any] = json.loads((podattacks.TESTS / "vectors" / "admission-review.json").read_text())
    live = copy.deepcopy(dict(WORLD.rendered if pod is None else pod))
    live["metadata"] |= {"uid": "1111", "creationTimestamp": "2026-11-01T00:00:00Z"}
    live["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    found["request"]["object"] = live
    if update:
        found["request"] |= {"operation": "UPDATE", "oldObject": copy.deepcopy(live)}
    return found


def check(body: bytes) -> bool:
    """Whether pods, templates or defaults say yes. Raises `AssertionError` for a yes that nothing justifies.

    Any other exception is a fault of the reader: the only no is a `Refusal`.
    """
    try:
        uid, raw = review.envelope(body)
        question = review.read(raw)
    except Refusal as refusal:
        json.loads(review.encoded(review.denied("none", refusal)))
        return False
    said = _answered(uid, lambda: pods.decide(question, WORLD.around))
    assert not said or is_justified(json.loads(body)["request"]), "an unjustified yes"
    _answered(uid, lambda: templates.decide(question))
    _answered(uid, lambda: defaults.of_new(question))
    return said


def _answered(uid: str, decide: Callable[[], object]) -> bool:
    try:
        decide()
    except Refusal as refusal:
        answer = json.loads(review.encoded(review.denied(uid, refusal)))
        assert (answer["response"]["uid"], answer["response"]["allowed"]) == (uid, False)
        return False
    return True


def is_justified(request: Mapping[str, Any]) -> bool:
    """The rules of pods, written down a second time and in another way."""
    operation, part = request["operation"], request.get("subResource", "")
    user, named = request["userInfo"]["username"], request["resource"].get("resource", "")
    if operation == "DELETE" or part == "eviction":
        return True
    if part == "binding" or (not part and named == "bindings") or named == "bindings":
        return bool(user == SCHEDULER)
    new, old = request.get("object") or {}, request.get("oldObject") or {}
    same_labels = _text(_labels(new)) == _text(_labels(old))
    if part:
        return bool(part == "status" and same_labels)
    if operation == "UPDATE":
        return bool(same_labels and _text(new.get("spec")) == _text(old.get("spec")))
    return bool(user == OPERATOR and _text(_bare(new)) == _text(WORLD.rendered))


def _labels(found: Mapping[str, Any]) -> Any:
    metadata = found.get("metadata")
    return metadata.get("labels") if isinstance(metadata, Mapping) else None


def _bare(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the server adds; a status of which nothing is left was none."""
    left: dict[str, Any] = copy.deepcopy(dict(pod))
    for section, member in _ADDED:
        if isinstance(left.get(section), dict):
            left[section].pop(member, None)
    if left.get("status") == {}:
        del left["status"]
    return left


def _text(found: Any) -> str:
    """One spelling for each value: 1, 1.0 and true are three."""
    return json.dumps(found, sort_keys=True)


VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 1.0, 2**53, "", "x", "default", "Always", [], [None], {}, {"": ""}),
    {"secretName": "x"},
    {"name": "a", "secret": {"secretName": "x"}},
    {"secretKeyRef": {"name": "x", "key": "y"}},
    OPERATOR,
    SCHEDULER,
    "CREATE",
    "UPDATE",
    "DELETE",
    "CONNECT",
)
"""What changes put in places."""
NAMES: Final = (
    *("name", "value", "secret", "spec", "labels", "hostPath", "env", "object", "oldObject", "subResource"),
    *("a/b", "~", "", "status", "ephemeralContainers", "binding", "eviction"),
)
"""Members that changes add."""

Pick = Callable[[int], int]
"""Picks a number below the one that it is given."""


def changed(document: Any, pick: Pick, times: int) -> Any:
    """The document after some changes: a value replaced, a member or item taken out, doubled or added."""
    found = copy.deepcopy(document)
    for _ in range(times):
        holder, key = _place(found, pick)
        _change(holder, key, pick)
    return found


def _place(document: Any, pick: Pick) -> tuple[Any, Any]:
    """Somewhere in the document: the holder and the key in it."""
    holder: Any = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[pick(len(keys))] if keys else None
        inner = holder[key] if keys else None
        if not isinstance(inner, dict | list) or not inner or pick(6) == 0:
            return holder, key
        holder = inner


def _change(holder: Any, key: Any, pick: Pick) -> None:
    value = copy.deepcopy(VALUES[pick(len(VALUES))])
    match pick(4):
        case 0 if key is not None:
            holder[key] = value
        case 1 if key is not None:
            del holder[key]
        case 2 if isinstance(holder, list) and holder:
            holder.append(copy.deepcopy(holder[key]))
        case _ if isinstance(holder, list):
            holder.append(value)
        case _:
            holder[NAMES[pick(len(NAMES))]] = value
