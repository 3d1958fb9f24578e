"""Logs, metrics and event names: one vocabulary, set up once per process."""
