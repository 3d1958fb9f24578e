"""Settings are a frozen dataclass read once from the environment; each field carries its sentence.

@dataclass(frozen=True)
class Settings:
    listen: str = setting("DOORWARD_LISTEN", str, "address and port to listen on", "127.0.0.1:8470")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar
from urllib.parse import urlsplit

from doorward.core.redact import Secret
from doorward.errors import ConfigError

T = TypeVar("T")
_KEY = "doorward"
_REQUIRED: Any = object()
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Spec:
    """What the documentation needs to know about one setting."""

    variable: str
    parse: Callable[[str], Any]
    doc: str


def setting(
    variable: str,
    parse: Callable[[str], T],
    doc: str,
    default: Any = _REQUIRED,
) -> Any:
    """A field filled from `variable`. Without a default the process does not start without it."""
    metadata = {_KEY: Spec(variable, parse, doc)}
    if default is _REQUIRED:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def read(cls: type[T], environ: Mapping[str, str]) -> T:
    """Fill `cls` from `environ`. Raises `ConfigError` that names every wrong variable at once."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for item in fields(cls):  # type: ignore[arg-type]
        try:
            _read_one(item, environ, values)
        except ValueError as error:
            wrong.append(f"{_spec(item).variable}: {error} ({_spec(item).doc})")
    if wrong:
        raise ConfigError("; ".join(wrong))
    return cls(**values)


def specs(cls: type) -> list[tuple[Spec, Any]]:
    """Each setting with its default (`dataclasses.MISSING` where it is required)."""
    return [(_spec(item), item.default) for item in fields(cls)]


def boolean(text: str) -> bool:
    """`true` or `false`, nothing else."""
    if text not in {"true", "false"}:
        msg = "must be true or false"
        raise ValueError(msg)
    return text == "true"


def address(text: str) -> tuple[str, int]:
    """`host:port` of a listener, an IPv6 host in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > _MAX_PORT:
        msg = "must be host:port"
        raise ValueError(msg)
    return host.removeprefix("[").removesuffix("]"), int(port)


def origin(text: str) -> str:
    """An http or https URL without user, query and fragment; the trailing slash is dropped."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        msg = "must be a URL such as https://service.example:8443"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = "must have neither query nor fragment"
        raise ValueError(msg)
    return text.rstrip("/")


def secret(text: str) -> Secret:
    """A value that never shows in a repr."""
    return Secret(text)


def _read_one(item: Field[Any], environ: Mapping[str, str], values: dict[str, Any]) -> None:
    spec = _spec(item)
    raw = environ.get(spec.variable)
    if raw is not None:
        values[item.name] = spec.parse(raw)
    elif item.default is MISSING:
        msg = "is not set"
        raise ValueError(msg)


def _spec(item: Field[Any]) -> Spec:
    found = item.metadata[_KEY]
    if not isinstance(found, Spec):
        msg = f"{item.name} is not a setting"
        raise TypeError(msg)
    return found
