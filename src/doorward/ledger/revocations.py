"""What is revoked, re-read inside every transaction that gives something."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Integer, Text, bindparam, case, exists, literal_column, or_, select

from doorward.ledger.schema import REVOCATIONS
from doorward.ledger.transaction import Transaction

EVERYTHING: Final = "everything"
_NAMESPACE, _ROLE, _TASK, _CAPABILITY = "namespace:", "role:", "task:", "capability:"
"""How these subjects begin, in Python and in SQL."""

_REVOKED: Final = (
    select(REVOCATIONS.c.uid)
    .where(
        or_(
            *(
                REVOCATIONS.c.subject == bindparam(name)
                for name in ("everything", "of_namespace", "of_role", "of_task", "of_capability")
            )
        )
    )
    .limit(1)
)


def covering(
    of_namespace: ColumnElement[str],
    task_name: ColumnElement[str],
    role_name: ColumnElement[str],
    jti: ColumnElement[str] | None = None,
) -> ColumnElement[int]:
    """1 where something revokes the task or the capability of these columns, else 0.

    For statements that read the columns anyway.
    """
    home = of_namespace + literal_column("'/'", Text)
    subjects = [
        literal_column(f"'{EVERYTHING}'", Text),
        literal_column(f"'{_NAMESPACE}'", Text) + of_namespace,
        literal_column(f"'{_ROLE}'", Text) + home + role_name,
        literal_column(f"'{_TASK}'", Text) + home + task_name,
    ]
    if jti is not None:
        subjects.append(literal_column(f"'{_CAPABILITY}'", Text) + home + jti)
    covered = exists().where(REVOCATIONS.c.subject.in_(subjects))
    return case((covered, literal_column("1", Integer)), else_=literal_column("0", Integer))


def namespace(name: str) -> str:
    """The subject of all tasks of a namespace."""
    return f"{_NAMESPACE}{name}"


def role(of_namespace: str, name: str) -> str:
    """The subject of all tasks in a role."""
    return f"{_ROLE}{of_namespace}/{name}"


def task(of_namespace: str, name: str) -> str:
    """The subject of the tasks of one name."""
    return f"{_TASK}{of_namespace}/{name}"


def capability(of_namespace: str, jti: str) -> str:
    """The subject of one capability."""
    return f"{_CAPABILITY}{of_namespace}/{jti}"


def grant(of_namespace: str, name: str) -> str:
    """The subject of one Grant."""
    return f"grant:{of_namespace}/{name}"


def revoked(txn: Transaction, of_namespace: str, task_name: str, role_name: str, jti: str = "") -> str | None:
    """UID of a Revocation that covers this, if there is one."""
    row = txn.one(
        _REVOKED,
        everything=EVERYTHING,
        of_namespace=namespace(of_namespace),
        of_role=role(of_namespace, role_name),
        of_task=task(of_namespace, task_name),
        of_capability=capability(of_namespace, jti),
    )
    return row["uid"] if row else None
