"""What the broker counts. Labels: verdicts, codes, effects, and Connectors as far as they exist."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from doorward.core.effect import Effect
from doorward.core.grade import Cause, Grade

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one broker process; also the observer of its ledger."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._decisions = Counter(
            "doorward_decisions",
            "Decisions, by verdict, code of a denial, Connector and effect.",
            ["verdict", "code", "connector", "effect"],
            registry=registry,
        )
        self._decision_seconds = Histogram(
            "doorward_decision_duration_seconds",
            "From a request for a decision to its durable answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._redemptions = Counter(
            "doorward_redemptions",
            "Redemptions, by Connector and code of a refusal.",
            ["connector", "code"],
            registry=registry,
        )
        self._outcomes = Counter(
            "doorward_outcomes",
            "Outcomes, by Connector; `lost` are those that nobody reported in time.",
            ["connector", "outcome"],
            registry=registry,
        )
        self._openings = Counter(
            "doorward_session_openings",
            "Session openings, by code of a refusal.",
            ["code"],
            registry=registry,
        )
        self._sessions = Gauge("doorward_sessions", "Open sessions.", registry=registry)
        self._frozen = Counter("doorward_tasks_frozen", "Tasks that were frozen.", registry=registry)
        self._grants = Counter(
            "doorward_grants", "Grants that came into a state, by state.", ["state"], registry=registry
        )
        self._approvals = Counter(
            "doorward_approvals",
            "Answers of people, by what they came to: approve, deny, or the code of why one does not count.",
            ["result"],
            registry=registry,
        )
        self._bursts = Counter(
            "doorward_bursts", "Calls of known tasks that came too fast to be looked at.", registry=registry
        )
        self._grades = Counter(
            "doorward_task_grades",
            "Changes of how a task is treated, by the grade it got and what led to it.",
            ["grade", "cause"],
            registry=registry,
        )
        self._requests = Histogram(
            "doorward_broker_request_duration_seconds",
            "Requests, by route and status.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "doorward_ledger_commit_duration_seconds",
            "One transaction of the ledger, its commit included.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._commit_size = Histogram(
            "doorward_ledger_batch_size", "Operations in one transaction.", buckets=_BATCH, registry=registry
        )
        self._commit_failures = Counter(
            "doorward_ledger_commit_failures",
            "Transactions that were lost, every caller in them refused.",
            registry=registry,
        )
        self._heartbeat = Gauge(
            "doorward_broker_heartbeat_age_seconds",
            "Age of the newest heartbeat that came back from the API server.",
            registry=registry,
        )

    def watch(self, sessions: Callable[[], int], heartbeat: Callable[[], float]) -> None:
        """Read the number of sessions and the heartbeat's age at scrape time."""
        self._sessions.set_function(sessions)
        self._heartbeat.set_function(heartbeat)

    def decided(self, code: str, connector: str, effect: Effect | None, seconds: float) -> None:
        """Count a decision; `code` is empty for a yes, `connector` for one that does not exist."""
        verdict = "denied" if code else "permitted"
        self._decisions.labels(verdict, code, connector, effect or "").inc()
        self._decision_seconds.observe(seconds)

    def redeemed(self, connector: str, code: str = "") -> None:
        """Count a redemption; `code` is empty for a yes."""
        self._redemptions.labels(connector, code).inc()

    def outcome(self, connector: str, outcome: str) -> None:
        """Count an outcome."""
        self._outcomes.labels(connector, outcome).inc()

    def opened(self, code: str = "") -> None:
        """Count a session opening; `code` is empty for a yes."""
        self._openings.labels(code).inc()

    def grant(self, state: str) -> None:
        """Count a Grant that came into a state."""
        self._grants.labels(state).inc()

    def answered_grant(self, result: str) -> None:
        """Count an answer to a Grant."""
        self._approvals.labels(result).inc()

    def froze(self) -> None:
        """Count a frozen task."""
        self._frozen.inc()

    def burst(self) -> None:
        """Count a call that came too fast."""
        self._bursts.inc()

    def graded(self, grade: Grade, cause: Cause | None) -> None:
        """Count a change of a task's grade."""
        self._grades.labels(grade.word, cause or "").inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; the observer of both listeners."""
        self._requests.labels(route, str(status)).observe(seconds)

    def committed(self, seconds: float, size: int) -> None:
        """A transaction of the ledger."""
        self._commit_seconds.observe(seconds)
        self._commit_size.observe(size)

    def failed(self) -> None:
        """A transaction that was lost."""
        self._commit_failures.inc()
