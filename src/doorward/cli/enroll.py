"""`kubectl doorward enroll` and `unenroll`: the namespace first, then who may work in it; and back.

Each step may have been done before, and each order of interruption leaves a namespace that is closed
rather than open: the label comes first and goes before the walls do.
"""

from __future__ import annotations

from collections.abc import Iterable

from doorward.cli import enrolment
from doorward.cli.enrolment import COMPONENTS, UNENROLL, Obstacle
from doorward.cli.place import Place, Refused, enrolled, labels_of
from doorward.kube import Object
from doorward.kube.resources import NAMESPACES, NETWORK_POLICIES, PODS, SERVICE_ACCOUNTS, name_of
from doorward.render import names


async def enroll(place: Place, *, create: bool) -> None:
    """Make the namespace one where tasks run. Raises `Refused`, `ApiError`."""
    if place.namespace in enrolment.CLUSTER | {place.system}:
        raise Refused(f"{place.namespace} cannot be enrolled: the cluster or Doorward itself runs in it")
    await _check_installed(place)
    document = await _found(place, create=create)
    if document is not None:
        await _check_empty(place, await place.obstacles(enrolled=enrolled(document)))
    await _label(place, document)
    for component in COMPONENTS:
        await place.bind(component)
    if document is not None and not place.dry_run:
        # Something may have come between the look and the label; from the label on nothing does.
        await _check_empty(place, await place.obstacles(enrolled=True))


async def unenroll(place: Place) -> None:
    """Take the namespace out again; it must hold no pod that runs. Raises `Refused`, `ApiError`."""
    document = await place.document()
    if document is None:
        raise Refused(f"there is no namespace {place.namespace}")
    await _check_idle(place)
    if enrolled(document):
        await _open(place, document)
        await _check_idle(place)  # a task may have begun before the label had gone
    for component in COMPONENTS:
        await place.unbind(component)
    for resource in (NETWORK_POLICIES, SERVICE_ACCOUNTS):
        for found in filter(enrolment.is_of_operator, await place.listed(resource, bare=True)):
            await place.delete(resource, found)
    place.say(f"namespace/{place.namespace} is not enrolled")


async def _check_installed(place: Place) -> None:
    accounts = [enrolment.binding_name(component) for component in COMPONENTS]
    absent = [name for name in accounts if not await place.client.find(SERVICE_ACCOUNTS, name, place.system)]
    if absent:
        raise Refused(
            f"Doorward is not installed in {place.system}: no service account {', '.join(absent)}",
            "install the chart, or name its namespace with --system-namespace",
        )


async def _found(place: Place, *, create: bool) -> Object | None:
    """The Namespace as it is; None where it is to be made."""
    document = await place.document()
    if document is not None and "deletionTimestamp" in document["metadata"]:
        raise Refused(f"namespace {place.namespace} is being deleted")
    if document is None and not create:
        raise Refused(f"there is no namespace {place.namespace}; --create makes it")
    return document


async def _label(place: Place, document: Object | None) -> None:
    if document is None:
        metadata = {"name": place.namespace, "labels": dict(enrolment.LABELS)}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        if not place.dry_run:
            await place.client.create(NAMESPACES, body)
        place.say(f"namespace/{place.namespace} created, enrolled")
        return
    changes: Object = {}
    if labels := enrolment.labels_to_set(labels_of(document)):
        changes["labels"] = labels
    if UNENROLL in document["metadata"].get("annotations", {}):
        changes["annotations"] = {UNENROLL: None}
    if changes:
        await place.change(changes)
    else:
        place.say(f"namespace/{place.namespace} unchanged")


async def _open(place: Place, document: Object) -> None:
    """Two writes, because admission wants the announcement to be there before the label goes."""
    if document["metadata"].get("annotations", {}).get(UNENROLL) != place.namespace:
        await place.change({"annotations": {UNENROLL: place.namespace}})
    taken = enrolment.labels_to_take(labels_of(document))
    await place.change({"labels": taken, "annotations": {UNENROLL: None}})
    if labels_of(document).get(names.MANAGED_BY) == "Helm":
        place.say("the chart made this namespace: take it out of the value `enrolled` too, or it comes back")


async def _check_empty(place: Place, found: Iterable[Obstacle]) -> None:
    lines = [str(obstacle) for obstacle in found]
    if lines:
        raise Refused(f"namespace {place.namespace} holds what has no place beside agents:", *lines)


async def _check_idle(place: Place) -> None:
    pods = [name_of(pod) for pod in await place.listed(PODS) if _runs(pod)]
    if pods:
        remedy = f"delete their tasks with `kubectl -n {place.namespace} delete agenttasks NAME`, or wait"
        raise Refused(
            f"pods run in {place.namespace}, and leaving would open their walls:",
            *(f"Pod {name}" for name in pods),
            remedy,
        )


def _runs(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
