"""Databases, for brokers that share one."""

from databases import databases, ledger_url

__all__ = ["databases", "ledger_url"]
