"""The ledger: everything asked, decided, spent and done, durable before anybody is answered."""

from doorward.ledger import revocations
from doorward.ledger.book import Ledger
from doorward.ledger.chain import Head, Link
from doorward.ledger.store import LedgerUnusable
from doorward.ledger.values import (
    EXECUTE_SECONDS,
    OUTCOME_SECONDS,
    Ask,
    Claim,
    Denied,
    Door,
    Ended,
    Epoch,
    Evidence,
    Granted,
    NotNewer,
    Opened,
    Outcome,
    Pin,
    Recorded,
    Redeemed,
    Report,
    Session,
    TaskRow,
    Terms,
)

__all__ = [
    "EXECUTE_SECONDS",
    "OUTCOME_SECONDS",
    "Ask",
    "Claim",
    "Denied",
    "Door",
    "Ended",
    "Epoch",
    "Evidence",
    "Granted",
    "Head",
    "Ledger",
    "LedgerUnusable",
    "Link",
    "NotNewer",
    "Opened",
    "Outcome",
    "Pin",
    "Recorded",
    "Redeemed",
    "Report",
    "Session",
    "TaskRow",
    "Terms",
    "revocations",
]
