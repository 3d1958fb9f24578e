"""Which images there are, what each runs and which lock it installs."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

REPOSITORY = "localhost/doorward"
"""Local images are named `localhost/doorward/PART:TAG`; no registry is asked for them."""


@dataclass(frozen=True)
class Part:
    """One image."""

    name: str
    """Target in the Containerfile and last word of the repository."""
    modules: tuple[str, ...]
    """Modules it is started with; everything they import is copied, nothing else."""
    lock: Path
    """Third-party packages with hashes, relative to the checkout."""
    loaded: tuple[str, ...] = ()
    """Packages that are read by name at run time, where no import statement shows them."""


def _part(name: str, lock: str, *modules: str, loaded: tuple[str, ...] = ()) -> Part:
    return Part(name, modules, Path("requirements") / f"{lock}.lock", loaded)


PARTS = (
    _part("operator", "operator", "doorward_operator.__main__"),
    _part(
        "admission",
        "webhooks",
        "doorward_webhooks.__main__",
        "doorward_webhooks.certificates.__main__",
        "doorward_webhooks.census.__main__",
    ),
    _part(
        "broker",
        "broker",
        "doorward.broker.__main__",
        "doorward.broker.evidence",
        loaded=("doorward.ledger",),
    ),
    _part("connector", "connector", "doorward.connectors.__main__", loaded=("doorward.connectors",)),
    _part("door", "door", "doorward.door.__main__", "doorward.door.canary"),
    _part("agent", "agent"),
)


def part(name: str) -> Part:
    """The part with this name. Raises `LookupError` that lists the names there are."""
    for candidate in PARTS:
        if candidate.name == name:
            return candidate
    raise LookupError(f"no image is called {name}; there are {', '.join(p.name for p in PARTS)}")
