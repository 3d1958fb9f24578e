"""Doorward: AI agents in pods that hold nothing, each action decided and then done by other hands."""

__version__ = "0.1.0"
