"""Writes docs/reference/ from the code: fields, settings, metrics, events. A test holds both together."""
