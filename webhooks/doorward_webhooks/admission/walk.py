"""The deny-walk: every field of a pod is known and judged, whatever is not known is refused.

Independent of the renderer on purpose: equality says that a pod is what the operator would make,
the walk says that nothing in it holds or reaches a secret, and each would notice the other's fault.
It reads raw JSON, so that a field which a typed client would drop is seen. The fields come from the
published OpenAPI documents (`data/pod-fields.json`), the judgements are `data/pod-rules.toml`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final

from doorward_webhooks.admission import literals
from doorward_webhooks.admission.literals import escaped

POD: Final = "Pod"
TEMPLATE: Final = "PodTemplateSpec"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is refused."""

    item: str
    """Number in the list of ways a secret can reach a pod; see docs/admission.md."""
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One place in a document that is refused."""

    pointer: str
    """JSON pointer (RFC 6901) within the pod or template."""
    reason: Reason
    detail: str = ""
    """What exactly, where the reason alone does not say it."""
    fingerprint: str = ""
    """Of the text that looks like a credential, if that is the reason: a role can accept it."""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.pointer}: {self.reason.what}{detail}; {self.reason.remedy}"


@dataclass(frozen=True, slots=True)
class Rule:
    """The judgement of one field."""

    verb: str
    """walk, pass, text, seen, refuse, unset or one."""
    reason: Reason | None
    values: tuple[str, ...]
    form: str
    """Form of the value, e.g. `Volume[]`, `string`, `string{}`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All judgements: type to field to rule."""

    types: Mapping[str, Mapping[str, Rule]]
    reasons: Mapping[str, Reason] = field(default_factory=dict)


def walk(document: Any, root: str, rules: Rules | None = None) -> tuple[Violation, ...]:
    """Every violation in a pod (`POD`) or template (`TEMPLATE`), in document order."""
    return tuple(_object("", document, root, rules or known()))


@cache
def known() -> Rules:
    """The rules as they ship."""
    data = resources.files(__package__).joinpath("data")
    table = json.loads(data.joinpath("pod-fields.json").read_text())["types"]
    return read(tomllib.loads(data.joinpath("pod-rules.toml").read_text()), table)


def read(raw: Mapping[str, Any], table: Mapping[str, Any]) -> Rules:
    """Rules from their text and the table of fields. Raises `KeyError` for a rule without a field."""
    reasons = {name: Reason(**parts) for name, parts in raw["reasons"].items()}
    types = {
        kind: {name: _rule(text, _form(table[kind][name]), reasons) for name, text in fields.items()}
        for kind, fields in raw.items()
        if kind != "reasons"
    }
    return Rules(types, reasons)


def _rule(text: str, form: str, reasons: Mapping[str, Reason]) -> Rule:
    verb, *rest = text.split()
    reason = reasons[rest[0]] if rest else None
    return Rule(verb, reason, tuple(rest[1:]), form)


def _form(entry: Any) -> str:
    return str(entry if isinstance(entry, str) else entry["form"])


def _object(pointer: str, found: Any, kind: str, rules: Rules) -> Iterator[Violation]:
    if not isinstance(found, dict):
        yield Violation(pointer, rules.reasons["form"], f"not a {kind}")
        return
    known_here = rules.types[kind]
    for key, value in found.items():
        rule = known_here.get(key)
        if rule is not None and _passes(value, rule):
            continue
        inner = f"{pointer}/{escaped(str(key))}"
        if rule is None:
            yield Violation(inner, rules.reasons["unknown"])
        else:
            yield from _judge(inner, value, rule, rules, _called(key, found))


def _passes(value: Any, rule: Rule) -> bool:
    """Whether there is nothing to refuse and nothing to look into."""
    match rule.verb:
        case "pass":
            return _has_form(value, rule.form)
        case "seen":
            return True
        case "unset":
            return value is False or (value == 0 and type(value) is int)
        case "one":
            return type(value) in {str, int} and str(value) in rule.values
        case _:
            return False


def _called(key: str, holder: Mapping[str, Any]) -> str:
    """What a text is called: `{name: X, value: Y}` calls Y by X."""
    name = holder.get("name")
    return name if key == "value" and isinstance(name, str) else key


def _judge(pointer: str, value: Any, rule: Rule, rules: Rules, called: str) -> Iterator[Violation]:
    match rule.verb:
        case "walk":
            yield from _descend(pointer, value, rule.form, rules)
        case "pass":
            yield _misshapen(pointer, rule.form, rules)
        case "text":
            if not _has_form(value, rule.form):
                yield _misshapen(pointer, rule.form, rules)
            yield from _texts(pointer, value, called, rules)
        case _:
            yield Violation(pointer, rule.reason or rules.reasons["unknown"])


def _descend(pointer: str, value: Any, form: str, rules: Rules) -> Iterator[Violation]:
    if not form.endswith("[]"):
        yield from _object(pointer, value, form, rules)
    elif not isinstance(value, list):
        yield Violation(pointer, rules.reasons["form"], "not a list")
    else:
        for index, item in enumerate(value):
            yield from _object(f"{pointer}/{index}", item, form[:-2], rules)


def _texts(pointer: str, value: Any, called: str, rules: Rules) -> Iterator[Violation]:
    named = {called: value} if isinstance(value, str) else value
    for path, found in literals.find_in(named):
        place = pointer if isinstance(value, str) else pointer + path
        detail = f"{found.name}, {found.fingerprint}"
        yield Violation(place, rules.reasons["literal"], detail, found.fingerprint)


_SCALARS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "quantity": (str, int, float),
    "port": (int, str),
}


def _misshapen(pointer: str, form: str, rules: Rules) -> Violation:
    """A value that is passed over must at least have its form: nothing hides in another one."""
    return Violation(pointer, rules.reasons["form"], f"not {form}")


def _has_form(value: Any, form: str) -> bool:
    if form in _SCALARS:
        return isinstance(value, _SCALARS[form]) and (form == "boolean" or not isinstance(value, bool))
    if form.endswith("[]"):
        return isinstance(value, list) and all(_has_form(item, form[:-2]) for item in value)
    if form.endswith("{}"):
        return isinstance(value, dict) and all(_has_form(item, form[:-2]) for item in value.values())
    return _fits(value, form)


def _fits(value: Any, kind: str) -> bool:
    """An object of a type that is passed over as a whole: its members must be known scalars."""
    fields = table()[kind]
    return isinstance(value, dict) and all(
        key in fields and _has_form(item, _form(fields[key])) for key, item in value.items()
    )


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """Type to field to form, of every type that a pod can contain."""
    text = resources.files(__package__).joinpath("data/pod-fields.json").read_text()
    found: Mapping[str, Mapping[str, Any]] = json.loads(text)["types"]
    return found
