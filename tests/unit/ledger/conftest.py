"""A ledger on a real database, of each engine in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from books import Book
from databases import databases, ledger_url

__all__ = ["databases", "ledger_url"]


@pytest.fixture
def book(ledger_url: str) -> Iterator[Book]:
    made = Book(ledger_url)
    yield made
    made.ledger.close()
