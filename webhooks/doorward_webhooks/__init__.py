"""Admission and certificates: nothing that holds a secret gets in."""
