"""What must be in place around a task before its pod: network and identity of its role and namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.kube import Object

_SERVERS = frozenset({"apiVersion", "kind", "metadata", "status"})


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands in for an object that is wanted and not there, or not in the wanted form."""

    desired: Object
    repair: Object | None
    """A merge patch that also takes away what somebody added; None where applying is enough."""


def missing(live: Object | None, desired: Object) -> Missing | None:
    """What has to be done so that the live object is the desired one; None when it is.

    Server-side apply takes nothing away that another manager added, and an egress rule, a secret or
    the identity of a cloud that somebody added is exactly what must not stay.
    """
    if live is None:
        return Missing(desired, None)
    extras, strange = _nulls(live, desired), _strange(live, desired)
    if extras or strange:
        metadata = {**_bound(live, desired), **({"annotations": strange} if strange else {})}
        return Missing(desired, {**_laid_over(desired, extras), "metadata": metadata})
    return None if _matches(live, desired) else Missing(desired, None)


def _matches(live: Object, desired: Object) -> bool:
    same = all(live.get(key) == desired[key] for key in desired if key not in _SERVERS)
    return same and _metadata_matches(live["metadata"], desired["metadata"])


def _metadata_matches(live: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    labels = live.get("labels", {})
    labelled = all(labels.get(key) == text for key, text in desired.get("labels", {}).items())
    return labelled and live.get("ownerReferences", []) == desired.get("ownerReferences", [])


def _nulls(live: Object, desired: Object) -> Object:
    """What the live object has besides, as a merge patch that removes it; two levels deep."""
    found: Object = {}
    for key, item in live.items():
        if key in _SERVERS:
            continue
        if key not in desired:
            found[key] = None
        elif isinstance(item, dict):
            inner = dict.fromkeys(item.keys() - desired[key].keys())
            found |= {key: inner} if inner else {}
    return found


def _strange(live: Object, desired: Object) -> Object:
    """Annotations of an account that are not ours, as a merge patch that removes them.

    Clouds read from them whom the pods of an account may act as.
    """
    if desired["kind"] != "ServiceAccount":
        return {}
    ours = desired["metadata"].get("annotations", {})
    return dict.fromkeys(live["metadata"].get("annotations", {}).keys() - ours.keys())


def _laid_over(desired: Object, extras: Object) -> Object:
    kept = {key: item for key, item in desired.items() if key not in _SERVERS}
    inner = {key: {**kept[key], **item} for key, item in extras.items() if isinstance(item, dict)}
    return {**kept, **extras, **inner}


def _bound(live: Object, desired: Object) -> Object:
    metadata: Object = {
        key: desired["metadata"][key] for key in ("labels", "ownerReferences") if key in desired["metadata"]
    }
    return {**metadata, "resourceVersion": live["metadata"]["resourceVersion"]}
