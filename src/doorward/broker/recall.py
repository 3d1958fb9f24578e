"""The facts that the ledger has for conditions, gathered when a condition could ask for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from doorward import policy
from doorward.core.action import Resource
from doorward.ledger import Ended, Ledger
from doorward.policy import Context, Facts, Outcome, Reference

_REFERENCES = 1000
"""References that conditions see, the newest."""


async def recall(ledger: Ledger, context: Context, about: Resource) -> Context:
    """The context, and those above it, with what happened before, of this namespace alone.

    `about` is empty where there is no action.
    """
    parent = await recall(ledger, context.parent, about) if context.parent else None
    wanted = policy.wanted(context)
    if not (wanted.outcomes or wanted.usage or wanted.roles):
        return context if parent is context.parent else replace(context, parent=parent)
    facts = await asyncio.to_thread(_recalled, ledger, context, wanted, about)
    return replace(context, parent=parent, facts=facts)


def _recalled(ledger: Ledger, context: Context, wanted: policy.Wanted, about: Resource) -> Facts:
    history, metadata = ledger.history, context.task.metadata
    own = history.of_task(metadata.uid) if wanted.outcomes else ()
    repository = about.get("repository")
    narrow = str(repository) if repository is not None and not context.task.spec.stages else None
    return Facts(
        outcomes=tuple(map(_outcome, own)),
        others={
            role: tuple(map(_outcome, history.of_role(metadata.namespace, role, context.now, narrow)))
            for role in sorted(wanted.roles)
        },
        references=tuple(reference for item in own for reference in _references(item))[-_REFERENCES:],
        spent=history.spent(metadata.uid) if wanted.usage else {},
    )


def _outcome(item: Ended) -> Outcome:
    return Outcome(
        item.rule, item.connector, item.action, item.outcome, item.resource, item.role, item.task, item.at
    )


def _references(item: Ended) -> list[Reference]:
    """Of actions that succeeded: what a failed one names was never shown."""
    if item.outcome != "succeeded":
        return []
    return [
        Reference(str(shown["kind"]), str(shown["id"]), item.connector, item.action, item.resource, item.at)
        for shown in item.shown
    ]
