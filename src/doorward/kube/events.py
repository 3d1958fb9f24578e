"""Events for people (events.k8s.io/v1). Nothing depends on one arriving."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import Final, Literal

from doorward.kube.client import Client
from doorward.kube.errors import ApiError
from doorward.kube.resources import EVENTS, Object, name_of, namespace_of, uid_of
from doorward.telemetry import log

_LOG: Final = log.get("doorward.kube")
_NOTE_BYTES: Final = 1024
"""The API server's limit of a note."""


class EventsRecorder:
    """Writes Events in the name of one controller."""

    def __init__(self, client: Client, controller: str, instance: str) -> None:
        self._client = client
        self._controller = controller
        self._instance = instance[:128]

    async def record(
        self,
        regarding: Object,
        *,
        reason: str,
        action: str,
        note: str,
        type_: Literal["Normal", "Warning"] = "Normal",
        once: bool = False,
    ) -> None:
        """Write one Event about an object; a failure is logged and nothing else.

        `once` is for what several replicas see, or one sees again after a restart: while an Event of this
        controller and reason about this very object is there, no second one is written.
        """
        body = self._event(regarding, reason=reason, action=action, note=note, type_=type_)
        if once:
            body["metadata"]["name"] = self._only_name(regarding, reason)
        try:
            await self._client.create(EVENTS, body, body["metadata"]["namespace"])
        except ApiError as error:
            if once and error.conflict:
                return
            _LOG.info("an Event was not written", reason=reason, about=name_of(regarding), error=str(error))

    def _only_name(self, regarding: Object, reason: str) -> str:
        identity = f"{self._controller}/{reason}/{uid_of(regarding)}"
        return f"{name_of(regarding)[:200]}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    def _event(self, regarding: Object, *, reason: str, action: str, note: str, type_: str) -> Object:
        namespace = namespace_of(regarding) or "default"
        reference = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": name_of(regarding),
            "namespace": namespace_of(regarding),
            "uid": uid_of(regarding),
        }
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{name_of(regarding)[:200]}.{secrets.token_hex(8)}",
                "namespace": namespace,
            },
            "eventTime": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "action": action,
            "reason": reason,
            "regarding": {key: text for key, text in reference.items() if text},
            "note": note.encode()[:_NOTE_BYTES].decode(errors="ignore"),
            "type": type_,
        }
