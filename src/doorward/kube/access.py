"""Where the API server is and how this process proves itself: read by lightkube, carried by aiohttp."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User, UserExec
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from doorward.errors import ConfigError

REREAD_SECONDS: Final = 30.0
"""A projected token is replaced well before it expires; it is read again this often."""
_PLUGIN_SECONDS: Final = 60
_UNUSABLE: Final = (
    *(LightkubeConfigError, msgspec.MsgspecError, yaml.YAMLError, OSError),
    *(KeyError, TypeError, AttributeError),
)
"""What reading a kubeconfig raises that is absent, incomplete or no kubeconfig."""


class Credentials:
    """The `Authorization` header, read again when it may have changed. Client certificates need none."""

    def __init__(self, user: User | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._user = user
        self._monotonic = monotonic
        self._header: str | None = None
        self._read_at: float | None = None

    async def header(self, *, anew: bool = False) -> str | None:
        """The header's value; `anew` after the server refused the last one. Raises `ConfigError`."""
        now = self._monotonic()
        if anew or self._read_at is None or now - self._read_at > REREAD_SECONDS:
            plugin = self._user is not None and self._user.exec is not None
            if anew or not plugin or self._header is None:  # a plugin may ask a person: only when needed
                self._header = await asyncio.to_thread(_header, self._user)
            self._read_at = now
        return self._header


@dataclass(frozen=True, slots=True)
class ActingAs:
    """For whom the API server is asked to take us; RBAC decides whether it does."""

    user: str
    groups: tuple[str, ...] = ()

    def headers(self) -> list[tuple[str, str]]:
        """The headers of an impersonated request."""
        return [("Impersonate-User", self.user), *(("Impersonate-Group", group) for group in self.groups)]


@dataclass(frozen=True)
class Access:
    """One API server."""

    server: str
    tls: ssl.SSLContext
    credentials: Credentials
    namespace: str = "default"
    """Where commands work that name no namespace."""
    acting: ActingAs | None = None


def load(kubeconfig: str | None, context: str | None = None, acting: ActingAs | None = None) -> Access:
    """From the argument, the pod's service account, or the variable KUBECONFIG, in this order.

    `acting` goes before what the kubeconfig says. Raises `ConfigError` when there is no access, or when
    the context is not in it.
    """
    try:
        config = _config(kubeconfig).get(context)
        if config is None:
            raise ConfigError("the kubeconfig has no current context")
        return _access(config, acting or _acting_as(config))
    except _UNUSABLE as error:
        raise ConfigError(f"no access to a cluster: {error}") from error


def _access(config: SingleConfig, acting: ActingAs | None) -> Access:
    user = config.user or User()
    tls = verify_cluster(config.cluster, user, config.abs_file, trust_env=False)
    credentials = Credentials(config.user)
    return Access(config.cluster.server.rstrip("/"), tls, credentials, config.namespace, acting)


def _acting_as(config: SingleConfig) -> ActingAs | None:
    """What the file says of impersonation, which lightkube passes over.

    Passed over here too, it would let somebody act as more than they meant to be.
    """
    if config.fname is None:
        return None
    users = yaml.safe_load(Path(config.fname).read_text())["users"]
    found: dict[str, Any] = next((item["user"] for item in users if item["name"] == config.context.user), {})
    if {"as-uid", "as-user-extra"} & found.keys():
        raise ConfigError("the kubeconfig impersonates with as-uid or as-user-extra, which is not done here")
    return ActingAs(found["as"], tuple(found.get("as-groups", ()))) if "as" in found else None


def _config(kubeconfig: str | None) -> KubeConfig:
    if kubeconfig is not None:
        return KubeConfig.from_file(Path(kubeconfig))
    try:
        return KubeConfig.from_service_account()
    except (LightkubeConfigError, KeyError):
        return KubeConfig.from_file(Path(os.environ["KUBECONFIG"]))


def _header(user: User | None) -> str | None:
    if user is None:
        return None
    if user.token_file is not None:
        return f"Bearer {Path(user.token_file).read_text().strip()}"
    if user.token is not None:
        return f"Bearer {user.token}"
    if user.exec is not None:
        return f"Bearer {_plugin(user.exec)}"
    if user.username and user.password:
        return "Basic " + b64encode(f"{user.username}:{user.password}".encode()).decode()
    return None


def _plugin(command: UserExec) -> str:
    """Ask a credential plugin (client.authentication.k8s.io) for a token."""
    question = {"apiVersion": command.apiVersion, "kind": "ExecCredential", "spec": {"interactive": False}}
    named = {item.name: item.value for item in command.env or ()}
    environ = {**os.environ, **named, "KUBERNETES_EXEC_INFO": json.dumps(question)}
    argv = [command.command, *(command.args or ())]
    try:
        done = subprocess.run(argv, env=environ, capture_output=True, check=True, timeout=_PLUGIN_SECONDS)
        answer: Any = json.loads(done.stdout)
        return str(answer["status"]["token"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the credential plugin {command.command} gave no token: {error}") from error
