"""Why pictures were normalised or rejected, for the look at the data."""

import collections
import re
from collections.abc import Mapping, Sequence

from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.manifest import REJECTS, Manifest
from tfpipe.data.overview import parts

MAX_REJECTS = 20  # of one reason

CHANGES = {
    "png": "PNG, whatever the name says.",
    "gif": "GIF, whatever the name says.",
    "bmp": "BMP, whatever the name says.",
    "webp": "WebP, whatever the name says.",
    "tiff": "TIFF, whatever the name says.",
    "cmyk": "JPEG in the colours of print (CMYK): made RGB.",
    "markers": "JPEG with stray bytes between its segments, though all of it decodes.",
    "coding": "JPEG of a kind that many decoders refuse: not Huffman-coded, not 8-bit, "
    "or not of 1 or 3 components.",
    "animated": "Several frames in one file: the first was kept.",
    "turned": "Turned or mirrored by its Exif data: stored as viewers show it.",
    "deep": "More than 8 bits a pixel: scaled to 8.",
    "alpha": "Transparent in places: laid on white.",
    "profile": "Colours by a profile other than sRGB: converted to sRGB.",
    "decoder_warning": "The decoder warned of something that costs no pixels, such as "
    "bytes between two markers: stored without it.",
}
REASONS = {
    "empty": "The file has 0 bytes.",
    "truncated": "The picture breaks off, or bytes within it are damaged or missing.",
    "not_a_picture": "The bytes are none of JPEG, PNG, GIF, BMP, WebP and TIFF, "
    "whatever the name says.",
    "too_many_pixels": "More pixels than max_pixels allows.",
    "too_many_bytes": "A file of more bytes than any picture needs.",
    "too_small": "A side shorter than min_side allows.",
    "unlabelled": "Nothing tells its class.",
    "ambiguous": "Its name has the words of more than one class.",
    "unreadable": "The file can't be read, or its bytes don't decode.",
    "excluded": "Left out, as asked.",
    "unsafe_path": "Its path leads out of the archive that holds it.",
    "missing": "It is listed or linked to, but there is no such file.",
    "outside_link": "It is a link or a listed path that leads out of the input.",
}
# Where an absolute path begins in a text, on any system.
_PLACE = re.compile(r"(?:(?<=^)|(?<=[\s'\"(=]))(?:[A-Za-z]:[\\/]|[\\/])\S.*", re.DOTALL)


def normalised(manifest: Manifest, rows: Sequence[Scanned]) -> str:
    """Return how many pictures had to be changed, by reason, each with an example."""
    example: dict[str, str] = {}
    for row in rows:
        for word in row.changes:
            example[word] = min(row.key, example.get(word, row.key))
    lines = [
        [
            parts.word(word),
            f"{number:,}",
            f"{CHANGES.get(word, '')} "
            f'<span class="soft">Such as {parts.key(example[word])}</span>',
        ]
        for word, number in manifest.counts["normalised_by_reason"].items()
    ]
    if not lines:
        return "<p>None: every picture written was a clean JPEG already.</p>"
    number = parts.plural(manifest.counts["normalised"], "picture")
    head = ["reason", "pictures", "what it means"]
    return (
        f"<p>{number} decoded without being a clean JPEG and so had to be "
        "changed. A picture can have several reasons.</p>\n"
        + parts.table(head, lines, numbers=(1,))
    )


def rejected(rejects: Sequence[Mapping[str, str]]) -> str:
    """Return which pictures weren't written, by reason; the first of each by name."""
    if not rejects:
        return "<p>None.</p>"
    by_reason: dict[str, list[Mapping[str, str]]] = collections.defaultdict(list)
    for reject in rejects:
        by_reason[reject["reason"]].append(reject)
    sections = [
        f"<p>{parts.plural(len(rejects), 'picture')} could not be written. "
        f"Beside this page, {parts.word(REJECTS)} lists all, with every detail.</p>"
    ]
    for word, found in sorted(by_reason.items()):
        number = parts.plural(len(found), "picture")
        sections.append(f"<h3>{parts.word(word)} <small>{number}</small></h3>")
        sections.append(f"<p>{REASONS.get(word, '')}</p>")
        sections.append(_list_rejects(found[:MAX_REJECTS]))
        num_more = len(found) - MAX_REJECTS
        if num_more > 0:
            more = f"and {num_more:,} more, listed in {parts.word(REJECTS)}"
            sections.append(f"<p>{more}</p>")
    return "\n".join(sections)


def _list_rejects(rejects: Sequence[Mapping[str, str]]) -> str:
    """Return keys and details: a table, or columns of keys if all say the same."""
    details = [parts.key(without_places(reject["detail"])) for reject in rejects]
    keys = [parts.key(reject["key"]) for reject in rejects]
    if len(keys) < 2 or len(set(details)) > 1:
        return parts.table(["key", "detail"], zip(keys, details, strict=True))
    items = "".join(f"<li>{key}</li>" for key in keys)
    return f'<p>Each: {details[0]}</p>\n<ul class="keys">{items}</ul>'


def without_places(text: str) -> str:
    """Cut a text off where it names a place on the machine that wrote it.

    The page of equal records is equal everywhere, and may be shown to anyone.
    """
    return _PLACE.sub("…", text)
