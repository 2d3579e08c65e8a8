"""Words for people that several floors need."""

from collections.abc import Sequence


def few(words: Sequence[str], limit: int = 5) -> str:
    """Return the first `limit` words of a list, and how many more there are."""
    more = f" and {len(words) - limit:,} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more
