"""What the documents say, for the tests that hold them to it."""

from __future__ import annotations


def section(text: str, title: str) -> str:
    """What stands below a heading of the second level, up to the next one."""
    _, heading, below = text.partition(f"\n## {title}\n")
    assert heading, f"no section {title!r}"
    return below.partition("\n## ")[0]
