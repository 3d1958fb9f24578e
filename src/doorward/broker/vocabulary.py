"""The catalogue behind a Connector."""

from __future__ import annotations

from doorward.api.v1alpha1 import Connector
from doorward.catalogue import Catalogue, load
from doorward.errors import ConfigError


def vocabulary_of(connector: Connector | None) -> Catalogue | None:
    """The catalogue of a Connector's type; None for a type that this version does not know."""
    try:
        return load(connector.spec.type) if connector else None
    except ConfigError:
        return None
