"""The process: everything put together, started in order, and ended in order."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from doorward.kube import ApiError, Client, Election, EventsRecorder, connect
from doorward.serving import ops_listener
from doorward.telemetry import log
from doorward_operator import shell
from doorward_operator.budget import Bucket
from doorward_operator.controller import Controller, Parts
from doorward_operator.metrics import WAITING, Metrics
from doorward_operator.namespaces import Namespaces
from doorward_operator.news import News
from doorward_operator.rendering import REFRESH_SECONDS, Rendering
from doorward_operator.resync import resync
from doorward_operator.settings import Settings
from doorward_operator.workqueue import WorkQueue
from doorward_operator.world import Key, World
from doorward_operator.writer import MANAGER, Writer

DRAIN_SECONDS: Final = 10.0
"""How long keys that are being worked on may take after SIGTERM."""

RETRY_SECONDS: Final = 1.0
"""How long to wait before what did not work is tried again."""

_LOG: Final = log.get("doorward.operator")


class Operator:
    """One replica. Both keep their caches warm; the one that holds the lease works."""

    def __init__(self, settings: Settings, client: Client, lease_client: Client, metrics: Metrics) -> None:
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.world = World()
        self.queue: WorkQueue[Key] = WorkQueue(time.monotonic)
        self.rendering = Rendering(settings)
        self.namespaces = Namespaces(client, self.world)
        self.news = News(self.world, self.queue, self.namespaces.on_enrolment)
        self.namespaces.news = self.news
        identity = settings.pod_name or socket.gethostname()
        self.election = Election(lease_client, settings.namespace, MANAGER, identity)
        self._prepared = asyncio.Event()
        self.compared = False
        """Whether the caches have been compared with the API server at least once."""
        self.controller = Controller(
            Parts(
                client=client,
                world=self.world,
                queue=self.queue,
                writer=self._writer(),
                events=EventsRecorder(client, f"doorward.dev/{MANAGER}", identity),
                metrics=metrics,
                render=self.rendering.current,
                term=self.election,
            )
        )
        metrics.watch(self._phases, self._depths)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let the running keys finish and give the lease back."""
        halt, started = asyncio.Event(), asyncio.Event()
        async with ops_listener(self.metrics.registry, self.waiting, port=self.settings.ops_port):
            workers = [asyncio.create_task(self.controller.work()) for _ in range(self.settings.workers)]
            loops = [
                asyncio.create_task(shell.run(self.news, halt, started), name="shell"),
                asyncio.create_task(self._campaign(), name="election"),
                asyncio.create_task(self._each(self._compare, self.settings.resync_seconds), name="resync"),
                asyncio.create_task(self._each(self._refresh, REFRESH_SECONDS), name="rendering"),
            ]
            await _first_of(loops, started)
            _on_signals(stop)  # kopf has put its own handlers there: the order of ending is ours
            await _first_of(loops, stop)
            await self._end(workers, loops, halt)

    def waiting(self) -> list[str]:
        """What this replica still waits for, for the readiness probe."""
        found = [] if self.compared else ["the first comparison with the API server"]
        return found + ([self.rendering.problem] if self.rendering.problem else [])

    async def _end(
        self, workers: list[asyncio.Task[None]], loops: list[asyncio.Task[None]], halt: asyncio.Event
    ) -> None:
        """Stop handing out, finish what runs, release the lease, then everything else."""
        self.queue.close()
        await asyncio.wait(workers, timeout=DRAIN_SECONDS)
        shell_, *others = loops
        await _cancelled([*others, *workers])
        await self.namespaces.close()
        halt.set()
        await asyncio.wait([shell_], timeout=DRAIN_SECONDS)
        failed = [task for task in loops if task.done() and not task.cancelled() and task.exception()]
        for task in failed:
            await task

    async def _campaign(self) -> None:
        """Take part in the election as soon as there is something to lead with."""
        await self._prepared.wait()
        await self.election.run(self._led)

    def _led(self, leading: bool) -> None:
        self.metrics.leading.set(leading)
        if leading:
            self.queue.open()
        else:
            self.queue.pause()

    async def _compare(self) -> bool:
        try:
            await resync(self.client, self.world, self.news, self.metrics.resyncs.inc)
        except ApiError as error:
            _LOG.warning("the comparison with the API server failed", error=str(error))
            return False
        self.compared = True
        return True

    async def _refresh(self) -> bool:
        if await self.rendering.refresh():
            self.news.everything()
        return not self.rendering.problem

    async def _each(self, act: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Act, wait, and again; what did not work is tried again soon."""
        while True:
            worked = await act()
            if not self.waiting():
                self._prepared.set()
            await asyncio.sleep(seconds if worked else RETRY_SECONDS)

    def _writer(self) -> Writer:
        bucket = Bucket(self.settings.writes_per_second, self.settings.write_burst)
        return Writer(self.client, lambda: self.election.leading, bucket)

    def _phases(self) -> Iterator[str]:
        for _, task in self.world.tasks.entries():
            yield str(task.get("status", {}).get("phase", WAITING))

    def _depths(self) -> dict[str, int]:
        agenda = self.queue.agenda
        return {"ready": len(agenda), "active": agenda.active, "delayed": agenda.delayed}


async def main(settings: Settings) -> None:
    """Run one replica until SIGTERM. Raises `ConfigError` without access to a cluster."""
    metrics = Metrics()
    # A renewal must not wait behind a burst of tasks, so the lease has connections of its own.
    async with connect(observe=metrics.observe) as client, connect() as lease_client:
        await Operator(settings, client, lease_client, metrics).run(asyncio.Event())


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _first_of(loops: list[asyncio.Task[None]], event: asyncio.Event) -> None:
    """Wait for the event, or for a loop that ended: none of them should."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([waiting, *loops], return_when=asyncio.FIRST_COMPLETED)
    await _cancelled([waiting])


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
