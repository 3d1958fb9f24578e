"""The seal of a Permit. Imported by the policy and by nobody else (an import contract holds it)."""

from __future__ import annotations

from typing import Final

SEAL: Final = object()
