"""The certificates of our own parts: one authority, short-lived leaves, a rotation without a gap.

`plan` says what to write next from what is there now; `objects` reads and writes the named Secrets, the
ConfigMap and the webhook configurations; `x509` does the cryptography; `process` goes round.
"""
