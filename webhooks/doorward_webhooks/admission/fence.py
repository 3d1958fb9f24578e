"""What cannot be judged field by field: users, tokens and mounts of the containers beside each other.

The second half of the walk. It is given documents that may be malformed anywhere, since the walk
reports that, and so takes whatever has the wrong form for absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from doorward.render.names import DOOR_CONTAINER, role_object
from doorward_webhooks.admission.literals import escaped
from doorward_webhooks.admission.walk import POD, Rules, Violation, known

AMOUNTS: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
_OURS: Final = ("doorward.dev/", "app.kubernetes.io/")

Container = tuple[str, Mapping[str, Any]]
"""Pointer and contents of one container."""


def fence(document: Any, root: str, rules: Rules | None = None) -> tuple[Violation, ...]:
    """Every violation between the fields of a pod or template."""
    reasons = (rules or known()).reasons
    spec = _object(_object(document).get("spec"))
    containers = list(_containers(spec))
    found = [
        *_account(spec),
        *(item for container in containers for item in _security(container, spec)),
        *_users(containers, spec),
        *_tokens(spec),
        *_mounts(containers, spec),
        *(item for container in containers for item in _amounts(container)),
        *_tolerations(spec),
        *(_metadata(_object(_object(document).get("metadata"))) if root == POD else ()),
    ]
    return tuple(Violation(pointer, reasons[reason]) for pointer, reason in found)


Finding = tuple[str, str]
"""Pointer and name of the reason."""


def _account(spec: Mapping[str, Any]) -> Iterator[Finding]:
    if spec.get("automountServiceAccountToken") is not False:
        yield "/spec/automountServiceAccountToken", "automount"
    for field in ("serviceAccountName", "serviceAccount"):
        if not str(spec.get(field, "")).startswith(role_object("")):
            yield f"/spec/{field}", "account"


def _security(container: Container, spec: Mapping[str, Any]) -> Iterator[Finding]:
    pointer, own = container[0] + "/securityContext", _object(container[1].get("securityContext"))
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{pointer}/allowPrivilegeEscalation", "escalation"
    if "ALL" not in _list(_object(own.get("capabilities")).get("drop")):
        yield f"{pointer}/capabilities/drop", "capabilities"
    effective = {**_object(spec.get("securityContext")), **own}
    for field, holds in _DEMANDS.items():
        if not holds(effective.get(field)):
            yield f"{pointer}/{field}", "unconfined" if field == "seccompProfile" else "root"


def _numbered(found: Any) -> bool:
    return type(found) is int and found > 0


_DEMANDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "runAsNonRoot": lambda found: found is True,
    "runAsUser": _numbered,
    "runAsGroup": _numbered,
    "seccompProfile": lambda found: _object(found).get("type") == "RuntimeDefault",
}


def _users(containers: list[Container], spec: Mapping[str, Any]) -> Iterator[Finding]:
    shared = _object(spec.get("securityContext"))
    for field in ("runAsUser", "runAsGroup"):
        seen = set()
        for pointer, container in containers:
            user = _object(container.get("securityContext")).get(field, shared.get(field))
            if _numbered(user) and user in seen:
                yield f"{pointer}/securityContext/{field}", "same-user"
            elif _numbered(user):
                seen.add(user)


def _tokens(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Left out, the audience is the API server's own and the life an hour; the walk refuses other sources."""
    for index, volume in enumerate(_objects(spec.get("volumes"))):
        for number, source in enumerate(_objects(_object(volume.get("projected")).get("sources"))):
            if source and "serviceAccountToken" not in source:
                continue
            token = _object(source.get("serviceAccountToken"))
            place = f"/spec/volumes/{index}/projected/sources/{number}/serviceAccountToken"
            if "audience" not in token:
                yield f"{place}/audience", "audience"
            if "expirationSeconds" not in token:
                yield f"{place}/expirationSeconds", "long-token"


def _mounts(containers: list[Container], spec: Mapping[str, Any]) -> Iterator[Finding]:
    tokens = {_name(item) for item in _objects(spec.get("volumes")) if "projected" in item}
    owners: dict[str, str] = {}
    for pointer, container in containers:
        for index, mount in enumerate(_objects(container.get("volumeMounts"))):
            place, volume = f"{pointer}/volumeMounts/{index}", _name(mount)
            if volume in tokens and not _is_door(pointer, container):
                yield place, "token-mount"
            elif owners.setdefault(volume, pointer) != pointer:
                yield place, "shared-volume"


def _is_door(pointer: str, container: Mapping[str, Any]) -> bool:
    return pointer.startswith("/spec/initContainers/") and container.get("name") == DOOR_CONTAINER


def _amounts(container: Container) -> Iterator[Finding]:
    pointer, found = container[0] + "/resources", _object(container[1].get("resources"))
    for part in ("limits", "requests"):
        for amount in _object(found.get(part)):
            if amount not in AMOUNTS:
                yield f"{pointer}/{part}/{escaped(str(amount))}", "device"


def _tolerations(spec: Mapping[str, Any]) -> Iterator[Finding]:
    for index, item in enumerate(_objects(spec.get("tolerations"))):
        if not item.get("key"):  # tolerates every taint
            yield f"/spec/tolerations/{index}", "placement"


def _metadata(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for part, reason in (("annotations", "annotation"), ("labels", "label")):
        for key in _object(metadata.get(part)):
            if not str(key).startswith(_OURS):
                yield f"/metadata/{part}/{escaped(str(key))}", reason


def _containers(spec: Mapping[str, Any]) -> Iterator[Container]:
    for part in ("initContainers", "containers"):
        for index, item in enumerate(_objects(spec.get(part))):
            yield f"/spec/{part}/{index}", item


def _name(item: Mapping[str, Any]) -> str:
    return str(item.get("name", ""))


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _objects(found: Any) -> list[Mapping[str, Any]]:
    return [_object(item) for item in _list(found)]
