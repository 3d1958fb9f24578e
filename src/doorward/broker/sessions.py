"""Open sessions, and who is speaking: every call of a door is signed, fresh, and comes from its pod."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from doorward.api.v1alpha1 import AgentRole
from doorward.broker.cluster import AUDIENCE
from doorward.broker.grading import Standing
from doorward.core.clock import Clock
from doorward.core.grade import Cause, Grade
from doorward.errors import Code, Refusal
from doorward.ledger import Attended, Session, TaskRow
from doorward.serving import Request
from doorward.tokens import proof
from doorward.tokens.proof import Call, Nonces, Proof

FENCE_SECONDS: Final = 90.0
"""How long one report of the fence counts; doors send one every 30 s."""
_MAX_ENDED: Final = 10_000


@dataclass
class Open:
    """An open session and what belongs to it."""

    session: Session
    pinned_role: AgentRole
    fence_proven: bool = False
    """Whether this process has written down that the fence was proven."""
    fenced_at: float | None = None
    """Since when, in monotonic seconds, the latest news that the fence holds counts."""


@dataclass
class Sessions:
    """The open sessions of this process, loaded from the ledger at its start."""

    clock: Clock
    nonces: Nonces = field(default_factory=Nonces)
    on_freeze: Callable[[str, Standing], None] = lambda _uid, _why: None
    """Told the UID of each task that freezes, and why."""
    monotonic: Callable[[], float] = time.monotonic
    roles: dict[str, AgentRole] = field(default_factory=dict)
    """Task UID -> its pinned role."""
    _open: dict[str, Open] = field(default_factory=dict)
    _ended: OrderedDict[str, Open] = field(default_factory=OrderedDict)
    """Sessions of tasks that are over, kept for a while so that their doors are told why."""
    _peers: dict[str, str] = field(default_factory=dict)
    """Address -> UID of the task whose door has its open session there."""
    _over: dict[str, Refusal] = field(default_factory=dict)
    """Task UID -> why it gets nothing any more."""
    _unwritten: set[str] = field(default_factory=set)
    """UIDs of tasks that froze here and are not frozen in the ledger yet, which so cannot take it back."""

    def __len__(self) -> int:
        return len(self._open)

    def load(self, tasks: Iterable[TaskRow], sessions: Iterable[Session]) -> None:
        """Take over what the ledger holds. Raises `Refusal` when a pinned role cannot be read.

        Agents of these sessions started behind a proven fence: it counts until their doors report again.
        """
        for row in tasks:
            if row.state == "ended":
                continue
            self.roles[row.uid] = AgentRole.model_validate_json(row.role_snapshot)
            if row.state == "frozen":
                self.freeze(row.uid, row.reason or "", Cause(row.cause) if row.cause else None)
                self.written(row.uid)
        for session in sessions:
            self._open[session.id] = Open(session, self.roles[session.task_uid], fenced_at=self.monotonic())
            self._peers[session.peer] = session.task_uid

    def add(self, session: Session, role: AgentRole, replaced: str | None = None) -> Open:
        """A session that was opened; the one it replaces is forgotten."""
        if replaced is not None:
            self._open.pop(replaced, None)
        pinned = self.roles.setdefault(session.task_uid, role)
        self._peers[session.peer] = session.task_uid
        return self._open.setdefault(session.id, Open(session, pinned))

    def freeze(self, task_uid: str, reason: str, cause: Cause | None) -> None:
        """The task gets nothing any more; its door is told why, and so is whoever looks at the task.

        Until the freeze is said to be `written` nothing but its own Thaw ends it.
        """
        self._unwritten.add(task_uid)
        if task_uid not in self._over:
            self.on_freeze(task_uid, Standing(Grade.FROZEN, cause, reason))
        self._over[task_uid] = Refusal(
            Code.TASK_FROZEN, f"the task is frozen: {reason}", ask="a person has to look at this task"
        )

    def written(self, task_uid: str) -> None:
        """The ledger has the freeze; what it says of the task from now on holds."""
        self._unwritten.discard(task_uid)

    def frozen(self, task_uid: str) -> bool:
        """Whether the task is frozen here, and by what the ledger has."""
        over = self._over.get(task_uid)
        return over is not None and over.code is Code.TASK_FROZEN and task_uid not in self._unwritten

    def end(self, task_uid: str, reason: str) -> None:
        """The task is over: its sessions close at once, before the ledger has written it."""
        self.roles.pop(task_uid, None)
        self._unwritten.discard(task_uid)
        mine = [key for key, found in self._open.items() if found.session.task_uid == task_uid]
        for key in mine:
            self._close(key)
            self._over[task_uid] = Refusal(
                Code.TASK_ENDED, f"the task has ended: {reason}", ask="apply a new task"
            )
        while len(self._ended) > _MAX_ENDED:
            _, oldest = self._ended.popitem(last=False)
            self._over.pop(oldest.session.task_uid, None)

    def thaw(self, task_uid: str, *, close: bool) -> None:
        """The task lives again; with `close` its door has to open a new session."""
        self._over.pop(task_uid, None)
        self._unwritten.discard(task_uid)
        for key in [key for key, found in self._open.items() if close and found.session.task_uid == task_uid]:
            del self._open[key]

    def task_at(self, peer: str) -> str | None:
        """UID of the task whose door speaks from this address; None for strangers."""
        return self._peers.get(peer)

    def _close(self, key: str) -> None:
        self._ended[key] = closed = self._open.pop(key)
        if self._peers.get(closed.session.peer) == closed.session.task_uid:
            del self._peers[closed.session.peer]

    def over(self, task_uid: str) -> Refusal | None:
        """Why the task gets nothing any more; None while it may."""
        return self._over.get(task_uid)

    def check_fence(self, opened: Open) -> None:
        """Raise `Refusal(unavailable)` unless the fence was shown to hold a short while ago."""
        if opened.fenced_at is None or self.monotonic() - opened.fenced_at >= FENCE_SECONDS:
            raise Refusal(
                Code.UNAVAILABLE,
                f"nothing has shown for {FENCE_SECONDS:.0f} seconds that the fence of the pod holds",
                ask="wait for the door's next report",
            )

    def prove(self, request: Request) -> Proof:
        """The proof of an opening, fresh. Raises `Refusal(proof_invalid)`."""
        found = self.verified(request)
        self.nonces.use(found, self.clock())
        return found

    def verified(self, request: Request) -> Proof:
        """The proof of a call, which may have been used before. Raises `Refusal(proof_invalid)`."""
        call = Call(AUDIENCE, request.method, request.target, request.body)
        return proof.verify(request.headers.get(proof.HEADER), call, self.clock())

    def meet(self, found: Attended, now: float) -> bool:
        """Take over what another broker knows of a session; `now` in seconds since the epoch.

        True where its task was frozen here and lives again: another broker was told of a Thaw first.
        """
        thawed = found.state == "live" and self.frozen(found.session.task_uid)
        if thawed:
            self.thaw(found.session.task_uid, close=False)
        session = found.session
        known = self._open.get(session.id)
        if known is None and (found.state == "ended" or not found.closed):
            known = self.add(session, AgentRole.model_validate_json(found.role_snapshot))
        if found.state == "ended":
            self.end(session.task_uid, found.reason or "")
        elif found.closed and session.id in self._open:
            self._close(session.id)
            del self._ended[session.id]
        elif found.state == "frozen" and session.task_uid not in self._over:
            self.freeze(session.task_uid, found.reason or "", Cause(found.cause) if found.cause else None)
            self.written(session.task_uid)
        if known is not None and found.fenced_at is not None:
            since = self.monotonic() - max(0.0, now - found.fenced_at)
            known.fenced_at = max(since, known.fenced_at or since)
        return thawed

    def authenticate(self, found: Proof, peer: str) -> Open:
        """The session that speaks, by its verified proof and its address.

        Raises `Refusal`: `proof_invalid` for a proof that was used, `session_invalid`, `task_frozen`...
        """
        named = found.session or ""
        known = self._open.get(named) or self._ended.get(named)
        if known is None or known.session.thumbprint != found.thumbprint:
            raise Refusal(Code.SESSION_INVALID, "there is no such session of this key", ask="open a session")
        if known.session.peer != peer:
            raise Refusal(Code.SESSION_INVALID, "the request does not come from the session's pod")
        # Only now: keys cost nothing, and the nonces of strangers would take the room of everybody's.
        self.nonces.use(found, self.clock())
        if over := self._over.get(known.session.task_uid):
            raise over
        return known
