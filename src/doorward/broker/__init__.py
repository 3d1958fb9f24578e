"""The broker: identifies doors, decides their actions, mints capabilities, redeems and records them.

It holds the signing key and the ledger, and no credential of any upstream; it decides and never executes.
"""
