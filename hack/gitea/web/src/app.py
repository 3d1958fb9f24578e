"""The shop's catalogue, page by page."""

PAGE_SIZE = 20


def page_count(items: int) -> int:
    """Number of pages needed to show `items` items."""
    return items // PAGE_SIZE + 1


def page(items: list[str], number: int) -> list[str]:
    """Items of page `number`, counted from 1."""
    start = (number - 1) * PAGE_SIZE
    return items[start : start + PAGE_SIZE]
