"""Sums of invoices, in whole cents."""


def total(lines: list[tuple[int, int]]) -> int:
    """Sum over (quantity, price) lines."""
    return sum(quantity * price for quantity, price in lines)
