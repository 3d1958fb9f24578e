"""What an action does to the world, from harmless to irreversible."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """The effect classes of the action vocabulary, weakest first."""

    READ = "read"
    DRAFT = "draft"
    MERGE = "merge"
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    DESTROY = "destroy"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Position in the order of power; `draft` and below are reversible."""
        return list(Effect).index(self)
