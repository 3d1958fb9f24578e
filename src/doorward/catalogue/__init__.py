"""The action vocabularies: fixed data that door, broker, operator and connectors share by hash.

What is in a catalogue is promised: each of its actions can be carried out by the connectors of its type.
"""

from __future__ import annotations

from doorward.catalogue.document import TYPES, Catalogue, Place, Route, load, parse
from doorward.catalogue.translate import NativeCall, translate

__all__ = ["TYPES", "Catalogue", "NativeCall", "Place", "Route", "load", "parse", "translate"]
