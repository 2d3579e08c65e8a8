"""Words for people that several floors need."""

from collections.abc import Sequence

# Not printable to Python, yet they only join letters or set them apart.
_HARMLESS = frozenset("\u200c\u200d\u00a0\u3000")


def few(words: Sequence[str], limit: int = 5) -> str:
    """Return the first `limit` words of a list, and how many more there are."""
    more = f" and {len(words) - limit:,} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def visible(text: str) -> str:
    """Return text from outside with what acts instead of being seen spelt out.

    Such are controls, reversals of the writing direction, lone surrogates.
    """
    return "".join(
        character
        if character.isprintable() or character in _HARMLESS
        else character.encode("unicode_escape").decode()
        for character in text
    )
