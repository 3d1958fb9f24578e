"""NetworkPolicies add up: one more that selects a task's pod undoes what ours close.

Every policy that selects the pod counts, whatever it is called and whoever labelled it, and also
one that opens nothing today: what it opens tomorrow would not be asked about. Only kinds of
`networking.k8s.io` are judged here; docs/network.md says what holds for those of network plugins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from doorward.core import selectors
from doorward.kube import Object
from doorward.kube.resources import name_of, namespace_of
from doorward_operator.pods import Finding, finding
from doorward_operator.reasons import Reason

NAMED: Final = 3
"""How many offenders a message names; the rest are counted."""


def widening(others: Iterable[Object], labels: selectors.Labels) -> tuple[Object, ...]:
    """The policies that select a pod with these labels; `others` are all but the pod's own two."""
    return tuple(policy for policy in others if _selects(policy, labels))


def widened(policies: Sequence[Object]) -> Finding:
    """The finding for policies that should not select the pod; names what each opens, and the remedy."""
    first = policies[0]
    listed = enumerated([f"{name_of(policy)} ({_opened(policy)})" for policy in policies])
    remedy = (
        f"Delete it with `kubectl -n {namespace_of(first)} delete networkpolicy {name_of(first)}`, which "
        "takes the verb unenroll on the namespace; what tasks may reach is said by their role's connectors."
    )
    return finding(Reason.POLICY_WIDENED, f"It is {listed}. {remedy}")


def enumerated(items: Sequence[str]) -> str:
    """The first few in words, and how many more there are."""
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _selects(policy: Object, labels: selectors.Labels) -> bool:
    try:
        return selectors.selects(_spec(policy).get("podSelector") or {}, labels)
    except ValueError:  # what cannot be read may select anything
        return True


def _opened(policy: Object) -> str:
    spec = _spec(policy)
    opened = [way for way in ("ingress", "egress") if spec.get(way) and _speaks_of(spec, way)]
    return f"opens {' and '.join(opened)}" if opened else "opens nothing yet"


def _speaks_of(spec: dict[str, Any], way: str) -> bool:
    """Whether the rules of a direction count; without types, those that are there do."""
    types = spec.get("policyTypes")
    return not types or way.capitalize() in types


def _spec(policy: Object) -> dict[str, Any]:
    found: dict[str, Any] = policy.get("spec") or {}
    return found
