"""The admission webhook in this process, on TLS, with the API server told to call it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authority import Authority

from devcluster.kubectl import Kubectl
from doorward.kube import connect
from doorward_webhooks.admission.process import Process
from doorward_webhooks.admission.settings import Settings

CONFIGURATION = "doorward"
KINDS = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")


@dataclass
class Rig:
    """Starts and stops the one replica; its port and certificate stay."""

    kubeconfig: Path
    folder: Path
    render: bytes
    broker_ip: str
    port: int = 0
    _stop: asyncio.Event | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _authority: Authority = field(init=False)

    def __post_init__(self) -> None:
        self._authority = Authority(self.folder)
        certificate, key = self._authority.issue("doorward-admission")
        render = self.folder / "render.json"
        render.write_bytes(self.render)
        self._files = (certificate, key, render)

    def replace_render(self, document: bytes) -> None:
        """Render pods with other settings from now on."""
        self.render = document
        self._files[2].write_bytes(document)

    @property
    def bundle(self) -> str:
        """What vouches for the webhook, and what doors are rendered with."""
        return self._authority.bundle

    def start(self) -> None:
        """Serve until `stop`, ready when this returns."""
        certificate, key, render = self._files
        settings = Settings(
            listen=("127.0.0.1", self.port),
            ops_listen=("127.0.0.1", 0),
            tls_certificate=certificate,
            tls_key=key,
            render_file=render,
            ca_file=self._authority.bundle_file,
            broker_ip=self.broker_ip,
            drain_seconds=0,
        )
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(settings, ready)), daemon=True)
        self._thread.start()
        if not ready.wait(120):
            raise TimeoutError("the webhook is not ready")

    def stop(self) -> None:
        """End the replica."""
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)
        self._thread = None

    async def _serve(self, settings: Settings, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with connect(str(self.kubeconfig)) as client:
            process = Process(settings, client)
            serving = asyncio.ensure_future(process.serve(self._stop))
            while process.port is None or process.waits_for():
                await asyncio.wait({serving}, timeout=0.02)
                if serving.done():
                    break
            self.port = process.port or 0
            ready.set()
            await serving

    def attach(self, kubectl: Kubectl) -> None:
        """Have the API server call this process instead of the Service."""
        self._services = {
            kind: [hook["clientConfig"] for hook in kubectl.get(kind, CONFIGURATION)["webhooks"]]
            for kind in KINDS
        }
        here, bundle = f"https://127.0.0.1:{self.port}", _encoded(self.bundle)
        configs = {
            kind: [{"url": here + config["service"]["path"], "caBundle": bundle} for config in services]
            for kind, services in self._services.items()
        }
        self._configure(kubectl, configs)

    def restore(self, kubectl: Kubectl) -> None:
        """Have the API server call the Service again, behind which there is nobody."""
        self._configure(kubectl, self._services)

    def _configure(self, kubectl: Kubectl, configs: dict[str, list[dict[str, Any]]]) -> None:
        for kind, hooks in configs.items():
            operations = [
                {"op": "replace", "path": f"/webhooks/{index}/clientConfig", "value": config}
                for index, config in enumerate(hooks)
            ]
            kubectl("patch", kind, CONFIGURATION, "--type=json", "-p", json.dumps(operations))

    def detach(self, kubectl: Kubectl) -> None:
        """Take the configurations away: what is refused then, the policies refuse."""
        kubectl("delete", ",".join(KINDS), CONFIGURATION, "--ignore-not-found")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
