"""What walk and fence say of each place, word for word: the sentences are what people mend their pods by."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import podattacks
import pytest

from doorward_webhooks.admission import literals
from doorward_webhooks.admission.fence import fence
from doorward_webhooks.admission.walk import (
    POD,
    TEMPLATE,
    Reason,
    Rule,
    Rules,
    Violation,
    known,
    read,
    table,
    walk,
)

SENTENCES = json.loads((Path(__file__).parent / "golden" / "violations.json").read_text())
AGENT = "/spec/containers/0"


def told(pod: Any, root: str = POD) -> list[str]:
    """Each violation as people read it."""
    return [str(item) for item in (*walk(pod, root), *fence(pod, root))]


def said_of(pointer: str, value: Any) -> list[str]:
    """What is said of the clean pod with a value in a place."""
    case = podattacks.Case("", "", "", {pointer: value}, (), ())
    return told(case.applied()[0])


def sentences() -> dict[str, list[str]]:
    """What is said of each attack."""
    return {case.name: told(case.applied()[0]) for case in podattacks.cases()}


def test_every_attack_is_answered_word_for_word() -> None:
    """A change of a sentence, a place or a remedy is seen in review."""
    assert sentences() == SENTENCES


MISSHAPEN = [
    (f"{AGENT}/image", 7, "string"),
    (f"{AGENT}/image", None, "string"),
    (f"{AGENT}/securityContext/runAsUser", "10001", "integer"),
    (f"{AGENT}/securityContext/runAsUser", True, "integer"),
    (f"{AGENT}/securityContext/readOnlyRootFilesystem", 1, "boolean"),
    (f"{AGENT}/resources/limits", [], "quantity{}"),
    (f"{AGENT}/resources/limits", {"cpu": True}, "quantity{}"),
    (f"{AGENT}/resources/limits", {"cpu": {}}, "quantity{}"),
    (f"{AGENT}/securityContext/capabilities/drop", {"0": "ALL"}, "string[]"),
    (f"{AGENT}/securityContext/capabilities/drop", ["ALL", 1], "string[]"),
    (f"{AGENT}/args", "x", "string[]"),
    (f"{AGENT}/args", [1], "string[]"),
    ("/metadata/labels", {"doorward.dev/role": 1}, "string{}"),
    (f"{AGENT}/resizePolicy", {}, "ContainerResizePolicy[]"),
    (f"{AGENT}/resizePolicy", ["x"], "ContainerResizePolicy[]"),
    (f"{AGENT}/resizePolicy", [{"resourceName": 1}], "ContainerResizePolicy[]"),
    (f"{AGENT}/resizePolicy", [{"secret": "x"}], "ContainerResizePolicy[]"),
    (f"{AGENT}/lifecycle", {"preStop": {"sleep": {"seconds": "1"}}}, "SleepAction"),
]


@pytest.mark.parametrize(("pointer", "value", "form"), MISSHAPEN, ids=str)
def test_what_is_passed_over_has_its_form(pointer: str, value: Any, form: str) -> None:
    """Nothing hides in a value of another form, and the form that is wanted is named."""
    reason = known().reasons["form"]
    place = pointer + ("/preStop/sleep" if form == "SleepAction" else "")
    expected = str(Violation(place, reason, f"not {form}"))

    assert expected in said_of(pointer, value)


FINE = [
    (f"{AGENT}/resources/limits", {"cpu": 1, "memory": 1.5, "ephemeral-storage": "1Gi"}),
    (f"{AGENT}/resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
    (f"{AGENT}/lifecycle", {"preStop": {"sleep": {"seconds": 1}}}),
    (f"{AGENT}/securityContext/privileged", 0),
    (f"{AGENT}/securityContext/runAsUser", 1),
    (f"{AGENT}/securityContext/runAsGroup", 1),
    (f"{AGENT}/args", []),
    ("/spec/hostPID", False),
    ("/spec/schedulerName", "default-scheduler"),
    ("/status", {"anything": [1]}),
    ("/metadata/managedFields", [{"anything": 1}]),
]


@pytest.mark.parametrize(("pointer", "value"), FINE, ids=str)
def test_what_is_harmless_is_passed_over(pointer: str, value: Any) -> None:
    """Every form has values that are well formed."""
    assert said_of(pointer, value) == []


@pytest.mark.parametrize("value", [True, 1, 0.0, "", "false", None, {}, []], ids=str)
def test_what_must_be_unset_is_false_or_zero_alone(value: Any) -> None:
    """Nothing else counts as unset, however empty."""
    assert [text.partition(":")[0] for text in said_of("/spec/hostNetwork", value)] == ["/spec/hostNetwork"]


@pytest.mark.parametrize("value", [True, 600.0, ["600"], None, "60", "6000"], ids=str)
def test_one_of_the_values_is_one_of_the_values(value: Any) -> None:
    """A value is compared as it is written, and only texts and numbers are."""
    place = "/spec/volumes/0/projected/sources/0/serviceAccountToken/expirationSeconds"

    assert [text.partition(":")[0] for text in said_of(place, value)] == [place]


def test_a_document_that_is_no_object_is_named_by_its_kind() -> None:
    """The message says what was expected."""
    reason = known().reasons["form"]

    assert told([], TEMPLATE)[0] == str(Violation("", reason, "not a PodTemplateSpec"))
    assert said_of("/spec/containers", {})[0] == str(Violation("/spec/containers", reason, "not a list"))
    assert said_of(AGENT, "x")[0] == str(Violation(AGENT, reason, "not a Container"))


def test_a_text_goes_by_the_name_beside_it() -> None:
    """`{name: API_TOKEN, value: ...}` is a text called API_TOKEN; a key that is no text calls nothing."""
    text = "abcdefgh12345678"
    accepted = [item.fingerprint for item in literals.find(text, "API_TOKEN")]
    env = f"{AGENT}/env"

    assert [literals.fingerprint(text)] == accepted
    assert len(said_of(env, [{"name": "API_TOKEN", "value": text}])) == 1
    assert said_of(env, [{"name": "COLOUR", "value": text}]) == []
    assert f"{env}/0/value" in said_of(env, [{"name": "API_TOKEN", "value": text}])[0]


def test_rules_are_read_from_their_text() -> None:
    """Verb, reason and values, in this order; the form comes from the table of fields."""
    raw = {
        "reasons": {"bad": {"item": "1", "what": "w", "remedy": "r"}},
        "Pod": {"a": "pass", "b": "refuse bad", "c": "one bad x y"},
    }
    forms = {"Pod": {"a": "string", "b": {"form": "Volume[]", "since": "1.37"}, "c": "integer"}}
    bad = Reason("1", "w", "r")
    rules = {
        "a": Rule("pass", None, (), "string"),
        "b": Rule("refuse", bad, (), "Volume[]"),
        "c": Rule("one", bad, ("x", "y"), "integer"),
    }

    assert read(raw, forms) == Rules({"Pod": rules}, {"bad": bad})


def test_a_rule_for_a_field_that_nobody_has_is_an_error() -> None:
    """A misspelt field would judge nothing."""
    with pytest.raises(KeyError):
        read({"reasons": {}, "Pod": {"typo": "pass"}}, {"Pod": {}})


def test_a_judgement_that_nobody_knows_refuses() -> None:
    """A misspelt verb without a reason judges as if the field were unknown."""
    unknown = Reason("51", "new", "leave it out")
    rules = Rules({POD: {"a": Rule("typo", None, (), "string")}}, {"unknown": unknown})

    assert walk({"a": "x"}, POD, rules) == (Violation("/a", unknown),)


def test_what_ships_is_what_is_read() -> None:
    """Nothing that is kept between calls differs from a fresh reading."""
    assert known.__wrapped__() == known()
    assert table.__wrapped__() == table()
    assert literals.formats.__wrapped__() == literals.formats()


def test_every_form_that_is_passed_over_is_known() -> None:
    """An object that is passed over is checked by the table of fields, so its type is there."""
    scalars = {"string", "integer", "boolean", "quantity", "port"}
    forms = {
        rule.form.removesuffix("[]").removesuffix("{}")
        for fields in known().types.values()
        for rule in fields.values()
        if rule.verb in {"pass", "text"}
    }

    assert forms - scalars - set(table()) == set()


def test_a_violation_says_its_detail() -> None:
    """In brackets, and only where there is one."""
    reason = Reason("1", "what", "remedy")

    assert str(Violation("/a", reason, "how")) == "/a: what (how); remedy"
    assert str(Violation("/a", reason)) == "/a: what; remedy"


SPECS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"spec": None},
        ["/spec/automountServiceAccountToken", "/spec/serviceAccountName", "/spec/serviceAccount"],
    ),
    ({"metadata": {"labels": {"a~/b": "x"}}}, ["/metadata/labels/a~0~1b"]),
    ({"metadata": {"annotations": {"a~/b": "x"}}}, ["/metadata/annotations/a~0~1b"]),
    ({"metadata": {"labels": ["x"], "annotations": None}}, []),
    (
        {
            "spec": {
                "volumes": [
                    {"projected": {"sources": [{"secret": {}}, {"serviceAccountToken": {"path": "a"}}]}}
                ]
            }
        },
        [
            f"/spec/volumes/0/projected/sources/1/serviceAccountToken/{field}"
            for field in ("audience", "expirationSeconds")
        ],
    ),
    (
        {"spec": {"tolerations": [{"key": "a"}, {"key": ""}, {}, "x"]}},
        [f"/spec/tolerations/{n}" for n in (1, 2, 3)],
    ),
]


@pytest.mark.parametrize(("document", "places"), SPECS, ids=str)
def test_places_of_the_fence(document: dict[str, Any], places: list[str]) -> None:
    """Each is named by its pointer, in whatever form its neighbours are."""
    base = {"automountServiceAccountToken": False, "serviceAccountName": "doorward-role-a"}
    spec = {**base, "serviceAccount": "doorward-role-a", **(document.get("spec") or {})}
    whole = document if document.get("spec", {}) is None else {**document, "spec": spec}

    assert [item.pointer for item in fence(whole, POD)] == places


def test_labels_of_templates_are_their_authors() -> None:
    """Only a pod's own metadata is held to our names."""
    document = copy.deepcopy(dict(podattacks.CLEAN))
    document["metadata"] = {"labels": {"app": "x"}}

    assert [item.pointer for item in fence(document, POD)] == ["/metadata/labels/app"]
    assert fence(document, TEMPLATE) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [("runAsUser", 0), ("runAsUser", -1), ("runAsUser", True), ("runAsUser", "1"), ("runAsNonRoot", 1)],
)
def test_users_are_numbers_above_zero(field: str, value: Any) -> None:
    """Root by any spelling is root."""
    place = f"{AGENT}/securityContext/{field}"

    assert place in {text.partition(":")[0] for text in said_of(place, value)}


def test_a_container_inherits_from_the_pod_and_wins_over_it() -> None:
    """The effective user is the container's, then the pod's."""
    pod: Any = copy.deepcopy(dict(podattacks.CLEAN))
    own = pod["spec"]["containers"][0]["securityContext"]
    pod["spec"]["securityContext"]["runAsUser"] = own.pop("runAsUser")
    inherited = told(pod)
    pod["spec"]["securityContext"]["runAsUser"] = 65532

    assert inherited == []
    assert [text.partition(":")[0] for text in told(pod)] == [f"{AGENT}/securityContext/runAsUser"]


def test_a_volume_of_one_container_is_its_own_twice() -> None:
    """Two mounts of a volume in one container share it with nobody."""
    pod: Any = copy.deepcopy(dict(podattacks.CLEAN))
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    mounts.append({**mounts[0], "mountPath": "/again"})

    assert told(pod) == []
