"""The walk refuses every known way to a secret, names the place, and needs each of its rules for it."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import podattacks
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_webhooks.admission import fence as fences
from doorward_webhooks.admission.fence import fence
from doorward_webhooks.admission.walk import POD, TEMPLATE, Rule, Rules, known, table, walk

CASES = podattacks.cases()


def pointers(pod: Any, rules: Rules | None = None) -> set[str]:
    """Everything that walk and fence refuse."""
    return {item.pointer for item in (*walk(pod, POD, rules), *fence(pod, POD, rules))}


def without(rules: Rules, kind: str, name: str) -> Rules:
    """The rules with one of them taken out: whatever the field holds then passes."""
    fields = {**rules.types[kind], name: Rule("seen", None, (), "any")}
    return dataclasses.replace(rules, types={**rules.types, kind: fields})


@pytest.mark.parametrize("name", ["small", "full"])
def test_a_rendered_pod_passes(name: str) -> None:
    """What the operator makes has nothing to refuse, be it a small task or one that says everything."""
    pod = json.loads((podattacks.TESTS / f"unit/render/golden/{name}.json").read_text())

    assert set() == pointers(pod)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_known_way_to_a_secret_is_refused(case: podattacks.Case) -> None:
    """The attack is refused at exactly the places that it is about, under the item it belongs to."""
    pod, refused = case.applied()
    found = (*walk(pod, POD), *fence(pod, POD))

    assert set(refused) <= {item.pointer for item in found}
    assert {item.pointer for item in found} - set(refused) <= beside(refused)


def beside(refused: list[str]) -> set[str]:
    """Places of further faults in what an attack brings along, such as a second container without a fence."""
    if refused == ["/spec/containers/1/volumeMounts/0"]:
        context = "/spec/containers/1/securityContext"
        names = ("allowPrivilegeEscalation", "capabilities/drop", "runAsUser", "runAsGroup")
        return {f"{context}/{name}" for name in names}
    if refused[0].startswith("/spec/containers") and refused[0].count("/") < 4:
        return {item.pointer for item in fence({"spec": {"containers": [{}]}}, POD)}
    return set()


JUDGED = [
    (kind, name)
    for kind, fields in known().types.items()
    for name, rule in fields.items()
    if rule.verb in {"refuse", "unset", "one", "text"}
]


@pytest.mark.parametrize(("kind", "name"), JUDGED, ids=lambda part: part)
def test_no_rule_can_be_taken_out(kind: str, name: str) -> None:
    """Without any one rule of the walk, some attack passes at a place where it is refused with it."""
    weaker = without(known(), kind, name)
    about = [case for case in CASES if any(name in pointer.split("/") for pointer in case.refused)]
    pods = [case.applied()[0] for case in about]

    assert [pod for pod in pods if set(walks(pod)) - set(walks(pod, weaker))] != []


def walks(pod: Any, rules: Rules | None = None) -> list[str]:
    """What the walk alone refuses."""
    return [item.pointer for item in walk(pod, POD, rules)]


CHECKS = ("_account", "_security", "_users", "_tokens", "_mounts", "_amounts", "_tolerations", "_metadata")


@pytest.mark.parametrize("check", CHECKS)
def test_no_check_of_the_fence_can_be_taken_out(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one check between the containers, some attack passes."""
    before = [{item.pointer for item in fence(case.applied()[0], POD)} for case in CASES]
    monkeypatch.setattr(fences, check, lambda *_: ())
    after = [{item.pointer for item in fence(case.applied()[0], POD)} for case in CASES]

    assert any(strong - weak for strong, weak in zip(before, after, strict=True))


def test_every_field_of_every_type_that_is_entered_has_a_judgement() -> None:
    """A field of a known Kubernetes is refused because somebody thought about it, not by accident."""
    rules, silent, waiting, seen = known(), [], [POD, TEMPLATE], set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        silent += [f"{kind}.{name}" for name in table()[kind] if name not in rules.types.get(kind, {})]
        waiting += [
            rule.form.removesuffix("[]") for rule in rules.types[kind].values() if rule.verb == "walk"
        ]

    assert silent == []
    assert set(rules.types) == seen


def test_every_reason_is_used() -> None:
    """A reason that nothing gives is a rule that was lost."""
    rules = known()
    given_ = {rule.reason for fields in rules.types.values() for rule in fields.values() if rule.reason}
    found = {item.reason for case in CASES for item in fence(case.applied()[0], POD)}
    always = {rules.reasons[name] for name in ("unknown", "form", "literal")}

    assert set(rules.reasons.values()) == given_ | found | always


def objects(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every object that the walk looks into."""
    if isinstance(found, dict):
        yield path
    for key, item in found.items() if isinstance(found, dict) else enumerate(found):
        if isinstance(item, dict | list):
            yield from objects(item, (*path, key))


FREE = {"labels", "annotations", "limits", "requests", "nodeSelector"}
"""Objects whose members users name."""
CLOSED = [path for path in objects(podattacks.CLEAN) if not path or path[-1] not in FREE]
scalars = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


@given(
    path=st.sampled_from(CLOSED),
    key=st.text(min_size=1).filter(lambda key: not any(key in fields for fields in table().values())),
    value=values,
)
def test_a_foreign_member_anywhere_is_refused(path: tuple[Any, ...], key: str, value: Any) -> None:
    """Whatever a later Kubernetes, an injector or an attacker adds to an object of a pod is refused."""
    pod: Any = copy.deepcopy(dict(podattacks.CLEAN))
    holder = pod
    for part in path:
        holder = holder[part]
    holder[key] = value
    place = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in (*path, key))

    assert place in pointers(pod)


@given(path=st.sampled_from(list(objects(podattacks.CLEAN))), value=values)
def test_garbage_is_refused_and_never_breaks_the_walk(path: tuple[Any, ...], value: Any) -> None:
    """A value of any form in any place gives violations or none, and never an exception."""
    pod: Any = copy.deepcopy(dict(podattacks.CLEAN))
    holder, last = pod, None
    for part in path:
        holder, last = holder if last is None else holder[last], part
    if last is None:
        pod = value
    else:
        holder[last] = value

    assert isinstance(pointers(pod), set)


@given(value=values.filter(lambda value: not isinstance(value, dict)))
def test_what_is_no_pod_is_refused(value: Any) -> None:
    """Nothing but an object passes as a pod."""
    assert "" in pointers(value)


def test_all_violations_come_at_once() -> None:
    """Whoever mends a manifest is told everything in one go."""
    pod: Any = copy.deepcopy(dict(podattacks.CLEAN))
    pod["spec"]["volumes"].append({"name": "a", "secret": {"secretName": "x"}, "hostPath": {"path": "/"}})
    pod["spec"]["hostNetwork"] = True

    assert {"/spec/volumes/4/secret", "/spec/volumes/4/hostPath", "/spec/hostNetwork"} == pointers(pod)


def test_a_violation_reads_as_a_sentence_with_the_remedy() -> None:
    """What a person sees."""
    pod: Any = copy.deepcopy(dict(podattacks.CLEAN))
    pod["spec"]["volumes"].append({"name": "a", "secret": {"secretName": "x"}})

    expected = (
        "/spec/volumes/4/secret: a Secret as files; "
        "give the credential to a Connector and name its action in the role"
    )
    assert [str(item) for item in walk(pod, POD)] == [expected]


def test_a_template_is_walked_like_a_pod() -> None:
    """Workloads are told the same as pods, under the template's own pointers."""
    template = {"metadata": {"labels": {"app": "x"}}, "spec": dict(podattacks.CLEAN["spec"])}
    template["spec"]["volumes"] = [{"name": "a", "secret": {"secretName": "x"}}]

    assert [item.pointer for item in walk(template, TEMPLATE)] == ["/spec/volumes/0/secret"]
