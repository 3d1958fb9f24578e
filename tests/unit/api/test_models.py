"""The models read objects whole or not at all."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from doorward.api.v1alpha1 import KINDS, AgentTask, Condition, Connector, Phase, Resource, merge
from doorward.errors import Code, Refusal

VECTORS = Path(__file__).parents[2] / "vectors" / "api"
VALID = {item["kind"]: item for item in json.loads((VECTORS / "valid.json").read_text())["objects"]}
REFUSED = [
    vector
    for vector in json.loads((VECTORS / "refused.json").read_text())["refused"]
    if not vector.get("server")
]
KIND = {kind.__name__: kind for kind in KINDS}


def task(**spec: Any) -> dict[str, Any]:
    """The valid task with some members of its spec replaced."""
    return {**VALID["AgentTask"], "spec": {**VALID["AgentTask"]["spec"], **spec}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_gets_lost(kind: type[Any]) -> None:
    """A parsed object writes the same spec again."""
    raw = VALID[kind.__name__]
    parsed = kind.parse(raw)

    assert raw["spec"] == parsed.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


@pytest.mark.parametrize(
    "vector", REFUSED, ids=[f"{vector['kind']}-{index}" for index, vector in enumerate(REFUSED)]
)
def test_what_the_server_refuses_is_refused_here(vector: dict[str, Any]) -> None:
    """Should a bad object slip past the API server, it does not slip past the reader."""
    raw = copy.deepcopy(VALID[vector["kind"]])
    part = raw["spec"]
    for step in vector["at"][:-1]:
        part = part[step]
    if vector["value"] is None:
        del part[vector["at"][-1]]
    else:
        part[vector["at"][-1]] = vector["value"]

    with pytest.raises(Refusal) as caught:
        KIND[vector["kind"]].parse(raw)

    assert caught.value.code is Code.MALFORMED


def test_all_faults_at_once() -> None:
    """Whoever wrote three things wrong learns of three things."""
    with pytest.raises(Refusal) as caught:
        AgentTask.parse(task(deadline="1d", budgets={"tokens": 0}, secret="x"))

    assert [part.split(":")[0] for part in caught.value.detail.split("; ")] == [
        "spec.budgets.tokens",
        "spec.deadline",
        "spec.secret",
    ]


@pytest.mark.parametrize(
    "header", [{"kind": "Task"}, {"apiVersion": "doorward.dev/v1"}, {"apiVersion": "other/v1alpha1"}]
)
def test_another_kind_is_not_read(header: dict[str, str]) -> None:
    """A model reads its own kind and version only."""
    with pytest.raises(Refusal, match="AgentTask"):
        AgentTask.parse({**VALID["AgentTask"], **header})


def test_metadata_and_status_may_grow() -> None:
    """What a newer server or operator adds beside the spec does not stop an older reader."""
    raw = {**VALID["AgentTask"], "status": {"phase": "Running", "later": 1}}
    raw["metadata"] = {**raw["metadata"], "managedFields": [], "later": {}}
    parsed = AgentTask.parse(raw)

    assert (parsed.status.phase, parsed.metadata.name) == (Phase.RUNNING, "fix-7")


def test_objects_do_not_change() -> None:
    """A parsed object is a value."""
    parsed = Connector.parse(VALID["Connector"])

    with pytest.raises(ValidationError, match="frozen"):
        parsed.spec.provider = "github"


@pytest.mark.parametrize(
    "value", [{"a": "x" * 70_000}, {"a": "ü" * 40_000}, json.loads('{"a":' * 17 + "1" + "}" * 17)]
)
def test_the_input_is_bounded(value: Any) -> None:
    """An input beyond 64 KiB or 16 levels is refused: it would be read by every agent and hashed by us."""
    with pytest.raises(Refusal, match=r"spec\.input"):
        AgentTask.parse(task(input=value))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"status": {"phase": "Running"}}, True),
        ({"metadata": {"name": "fix-7", "namespace": "default", "uid": "2"}}, False),
        ({"spec": {**VALID["AgentTask"]["spec"], "deadline": "31m"}}, False),
    ],
)
def test_the_content_digest(changes: dict[str, Any], same: bool) -> None:
    """UID and spec make the digest that decisions rest on; a status does not."""
    before, after = AgentTask.parse(VALID["AgentTask"]), AgentTask.parse({**VALID["AgentTask"], **changes})

    assert same == (before.content_digest == after.content_digest)


def test_a_copy_has_its_own_digest() -> None:
    """A changed copy never carries the digest of what it was copied from."""
    before = AgentTask.parse(VALID["AgentTask"])
    digest = before.content_digest
    after = before.model_copy(update={"spec": before.spec.model_copy(update={"deadline": "31m"})})

    assert after.content_digest != digest


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_stored_objects_come_back(kind: type[Any]) -> None:
    """An object written as JSON and parsed again is the same object with the same digest."""
    before = kind.parse(VALID[kind.__name__])
    after = kind.parse(json.loads(before.model_dump_json(by_alias=True)))

    assert (before, before.content_digest) == (after, after.content_digest)


def condition(status: str, at: str, message: str = "") -> Condition:
    """A condition named Accepted."""
    return Condition.model_validate(
        {"type": "Accepted", "status": status, "reason": "R", "message": message, "lastTransitionTime": at}
    )


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    """Finding the same again is no change, so that it causes no write; another status is."""
    first = merge((), condition("True", "t1"))
    again = merge(first, condition("True", "t2"))
    worded = merge(first, condition("True", "t2", "more"))
    turned = merge(first, condition("False", "t3"))

    assert again == first
    assert [(item.last_transition_time, item.message) for item in worded] == [("t1", "more")]
    assert [item.last_transition_time for item in turned] == ["t3"]


def test_phases_that_end() -> None:
    """A task in a final phase never runs again."""
    expected = {Phase.SUCCEEDED, Phase.FAILED, Phase.EXPIRED, Phase.REVOKED, Phase.REFUSED}

    assert expected == {phase for phase in Phase if phase.final}


def test_every_kind_is_listed() -> None:
    """KINDS holds every model of an object."""
    assert set(Resource.__subclasses__()) == set(KINDS)
