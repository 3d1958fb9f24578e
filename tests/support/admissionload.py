"""New tasks at a steady rate through an API server, none of which is made; the answers are counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from admissionworld import task_document
from apiclient import Api

from devcluster.wait import until

PER_SECOND, ASKERS = 50, 5
SETTLED = 40
"""Answers after each change, 0.8 s: the API server's watch, a kubelet's mount, a server's look at files."""
TASKS = "/apis/doorward.dev/v1alpha1/namespaces/default/agenttasks?dryRun=All"


class Load:
    """Asks at a steady rate until it is ended, and counts the answers."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.answers: Counter[str] = Counter()
        self._files = kubeconfig, folder
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(index,)) for index in range(ASKERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the last answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        """The same beside a loop that has to give the last answers."""
        await asyncio.to_thread(self.__exit__)

    def more(self) -> None:
        """Wait until the state that is now has been met by a number of questions."""
        wanted = self.answers.total() + SETTLED
        until(lambda: self.answers.total() >= wanted, "more answers")

    def _ask(self, index: int) -> None:
        kubeconfig, folder = self._files
        own = folder / f"asker-{index}"
        own.mkdir()
        api = Api(kubeconfig, own)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += ASKERS / PER_SECOND
            self.answers[asked(api)] += 1
        api.close()


def asked(api: Api) -> str:
    """What comes of a new task that both kinds of webhooks are asked about."""
    document = {**task_document(), "metadata": {"name": "asked"}}
    try:
        answer = api("POST", TASKS, document)
    except OSError as error:
        return f"no answer: {error}"
    filled = answer.status == 201 and answer.document["spec"].get("requestedBy")
    return "admitted" if filled else f"{answer.status}: {answer.message}"
