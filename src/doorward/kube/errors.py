"""What can go wrong with the API server, in the two forms that callers tell apart.

DoorwardError
└── ApiError         the server said no: status, reason, message
    └── Unreachable  nothing was answered, or nothing that can be read: try again
"""

from __future__ import annotations

from typing import Final

from doorward.errors import DoorwardError

_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class ApiError(DoorwardError):
    """An answer of the API server that is not the wanted one.

    `reason` is the server's own word (`NotFound`, `AlreadyExists`, `Conflict`, `Invalid`...);
    `retry_after` is in seconds, 0 where the server named none.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def not_found(self) -> bool:
        """The object, or its namespace, is not there."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """The object has changed since it was read, or exists already."""
        return self.status == 409

    @property
    def gone(self) -> bool:
        """The wanted version of the past has been compacted away."""
        return self.status == 410 or self.reason == "Expired"

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later without anybody changing anything."""
        return self.status in _AGAIN


class Unreachable(ApiError):  # noqa: N818 - what happened, as in doorward.errors
    """The server gave no answer; whether the request was carried out is not known."""

    def __init__(self, message: str) -> None:
        super().__init__(503, "Unreachable", message)
