"""Capabilities, proofs and keys. Only the broker imports `mint` and `keys`."""
