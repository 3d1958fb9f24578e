"""What is known of the cluster, fed by watches, lists and the answers to our own writes.

News arrives from several sources and not in order. A resource version is comparable within its
resource, so older news about an object is never taken for newer, and what has been deleted does not
come back from a list that was on its way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from doorward.kube import Object
from doorward.kube.resources import name_of, namespace_of, uid_of, version_of

Name: TypeAlias = tuple[str, str]
"""`(namespace, name)`; the namespace is empty for cluster-scoped objects."""

_REMEMBERED: Final = 8192
"""How many deleted objects are remembered: more than can be deleted while one page is under way."""


class Store:
    """The objects of one resource, trimmed, by namespace and name."""

    def __init__(
        self,
        trim: Callable[[Mapping[str, Any]], Object],
        group: Callable[[Object], str] | None = None,
        told: Callable[[Object | None, Object | None], None] | None = None,
    ) -> None:
        """`told` hears of each change, with the object before and after it."""
        self._trim = trim
        self._told = told or _nobody
        self._group = group
        self._groups: dict[Name, set[Name]] = {}
        self._objects: dict[Name, Object] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, namespace: str, name: str) -> Object | None:
        """The object as last known."""
        return self._objects.get((namespace, name))

    def entries(self, namespace: str | None = None) -> Iterator[tuple[Name, Object]]:
        """All objects, or those of a namespace; safe against changes meanwhile."""
        for key, found in list(self._objects.items()):
            if namespace is None or key[0] == namespace:
                yield key, found

    def grouped(self, namespace: str, group: str) -> list[Object]:
        """The objects of a namespace that belong to one group, without looking at any other."""
        return [self._objects[key] for key in self._groups.get((namespace, group), ())]

    def names(self, namespace: str | None = None) -> list[Name]:
        """Names of all objects, or of those of a namespace."""
        return [key for key in self._objects if namespace is None or key[0] == namespace]

    def put(self, found: Mapping[str, Any]) -> bool:
        """Take note of an object; False when that is no news."""
        fresh = self._trim(found)
        key = _key(fresh)
        known = self._objects.get(key)
        if uid_of(fresh) in self._deleted or (known is not None and version_of(fresh) <= version_of(known)):
            return False
        if known is not None:
            self._drop(key)
        self._objects[key] = fresh
        if self._group is not None:
            self._groups.setdefault((key[0], self._group(fresh)), set()).add(key)
        self._told(known, fresh)
        return True

    def remove(self, found: Mapping[str, Any]) -> bool:
        """Take note that this very object has gone; False when another one has its name, or none."""
        gone = dict(found)
        self._deleted[uid_of(gone)] = None
        if len(self._deleted) > _REMEMBERED:
            self._deleted.popitem(last=False)
        known = self._objects.get(_key(gone))
        if known is None or uid_of(known) != uid_of(gone):
            return False
        self._drop(_key(gone))
        self._told(known, None)
        return True

    def clear(self, namespace: str) -> None:
        """Forget a namespace that is not followed any more."""
        for key in self.names(namespace):
            known = self._objects[key]
            self._drop(key)
            self._told(known, None)

    def _drop(self, key: Name) -> None:
        found = self._objects.pop(key)
        if self._group is None:
            return
        group = (key[0], self._group(found))
        self._groups[group].discard(key)
        if not self._groups[group]:
            del self._groups[group]

    def absent_from(self, names: set[Name], version: str) -> list[Object]:
        """The objects that a complete list of that version should have had and did not."""
        return [
            found
            for key, found in self.entries()
            if key not in names and version_of(found) <= int(version or 0)
        ]


def _nobody(before: Object | None, after: Object | None) -> None:
    """Hear nothing."""


def _key(found: Object) -> Name:
    return namespace_of(found), name_of(found)
