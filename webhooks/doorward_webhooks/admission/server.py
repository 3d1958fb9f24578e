"""The four questions over HTTP. Whatever goes wrong while deciding, the answer is a no with a sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from doorward.errors import Code, Refusal
from doorward.serving import App, Limits, Request, Route, app
from doorward.telemetry import log
from doorward_webhooks.admission import defaults, kinds, people, pods, review, templates
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.metrics import Metrics
from doorward_webhooks.admission.review import Patch, Review

_LOG: Final = log.get(__name__)
_LIMITS: Final = Limits(
    body_bytes=review.MAX_BYTES,
    handle_seconds=5,
    # All questions come from the few addresses of the API servers, over as many connections as they like.
    connections=4000,
    connections_per_peer=4000,
    held_bytes_per_peer=64 * 1024 * 1024,
)

PATIENCE: Final = (0.02, 0.1, 0.4)
"""Seconds between attempts while a question is ahead of what the watches have told us."""

Decide = Callable[[Review], Awaitable[Patch]]
"""Judges one question; gives what to change, which is nothing but for the defaults. Raises `Refusal`."""
_UNCHANGED: Final[Patch] = ()


class Admission:
    """Answers the API server from what is known now."""

    def __init__(
        self,
        surroundings: Callable[[], Surroundings],
        allows: people.Allows,
        metrics: Metrics,
        patience: Sequence[float] = PATIENCE,
    ) -> None:
        self._surroundings = surroundings
        self._allows = allows
        self._metrics = metrics
        self._patience = patience
        self.draining = False
        """Set before the end: every answer closes its connection, so that the API server opens another
        one, to a replica that stays."""

    def app(self) -> App:
        """The server application."""
        decisions: Mapping[str, Decide] = {
            "/v1/validate-pods": self._pods,
            "/v1/validate-templates": self._templates,
            "/v1/validate-kinds": self._kinds,
            "/v1/defaults": self._defaults,
        }
        routes = [Route("POST", path, self._handler(path, decide)) for path, decide in decisions.items()]
        return app(routes, _LIMITS)

    async def _pods(self, question: Review) -> Patch:
        async def judge() -> None:
            pods.decide(question, self._surroundings())

        return await self._patiently(judge, Code.RENDER_SKEW)

    async def _patiently(self, judge: Callable[[], Awaitable[None]], early: Code) -> Patch:
        """Ask again a few times while the watches may be behind what the question speaks of."""
        for pause in self._patience:
            try:
                await judge()
            except Refusal as refusal:
                if refusal.code is not early:
                    raise
            else:
                return _UNCHANGED
            await asyncio.sleep(pause)
        await judge()
        return _UNCHANGED

    async def _templates(self, question: Review) -> Patch:
        templates.decide(question)
        return _UNCHANGED

    async def _kinds(self, question: Review) -> Patch:
        async def judge() -> None:
            await kinds.decide(question, self._surroundings(), self._allows)

        return await self._patiently(judge, Code.UNAVAILABLE)

    async def _defaults(self, question: Review) -> Patch:
        return defaults.of_new(question)

    def _handler(self, path: str, decide: Decide) -> Callable[[Request], Awaitable[web.Response]]:
        async def handle(request: Request) -> web.Response:
            started = time.perf_counter()
            uid, raw = review.envelope(request.body)
            answer, code = await self._answer(uid, raw, decide)
            self._metrics.answered(path, code, time.perf_counter() - started)
            response = web.Response(body=review.encoded(answer), content_type="application/json")
            if self.draining:
                response.force_close()
            return response

        return handle

    async def _answer(
        self, uid: str, raw: Mapping[str, Any], decide: Decide
    ) -> tuple[Mapping[str, Any], str]:
        try:
            patch = await decide(review.read(raw))
        except Refusal as refusal:
            _LOG.info("denied", uid=uid, code=refusal.code.value, rule=refusal.rule)
            return review.denied(uid, refusal), refusal.code.value
        except Exception:  # noqa: BLE001 - the edge: whatever broke, nothing is admitted
            _LOG.exception("deciding failed", uid=uid)
            broken = Refusal(
                Code.UNAVAILABLE,
                "admission failed while it decided, so this is refused",
                ask="try again; the log of doorward-admission has the reason",
            )
            return review.denied(uid, broken), broken.code.value
        return review.allowed(uid, patch), "allowed"
