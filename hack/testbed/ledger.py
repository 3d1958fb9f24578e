"""The evidence, read as an operator of the cluster reads it: from the broker's own pod."""

from __future__ import annotations

import json
from typing import Any

from devcluster import wait
from devcluster.commands import CommandError
from testbed.site import SYSTEM, Site

_READ = (
    "exec",
    "doorward-broker-0",
    "-n",
    SYSTEM,
    "-c",
    "broker",
    "--",
    "python3",
    "-m",
    "doorward.broker.evidence",
)


def events(site: Site, task_uid: str) -> list[dict[str, Any]]:
    """Every event of one task, oldest first. A broker that just starts is waited for."""
    said = wait.until(lambda: [site.kubectl(*_READ, "--task", task_uid)], "the broker's evidence", 120)
    return [json.loads(line) for line in said[0].splitlines()]


def settled(site: Site, task_uid: str) -> list[dict[str, Any]]:
    """The same once every redemption has its outcome: a connector may have to tell it again."""

    def look() -> list[dict[str, Any]] | None:
        found = events(site, task_uid)
        names = [event["event"] for event in found]
        told = names.count("outcome.reported") + names.count("outcome.lost")
        return found if told >= names.count("capability.redeemed") else None

    return wait.until(look, "the outcomes of a task", 240)


def count(site: Site, task_uid: str, event: str) -> int:
    """How often something has happened to a task."""
    return [found["event"] for found in events(site, task_uid)].count(event)


def verify(site: Site) -> str:
    """`ok`, or what is wrong with the chain."""
    try:
        return site.kubectl(*_READ, "--verify").strip()
    except CommandError as error:
        return str(error)
