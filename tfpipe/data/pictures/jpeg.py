"""Read the markers of a JPEG (ITU-T T.81, annex B) without decoding it."""

import dataclasses
import re
from typing import Any

_HUFFMAN_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_ALL_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOI, _EOI, _SOS, _APP1, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xEE
# A marker within a scan: 0xFF that is no stuffed byte, restart or fill byte.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class JpegHeader:
    """What the markers of a JPEG say.

    Attributes:
        height, width: in pixels; 0 where no frame header was found.
        is_plain: 8-bit, 1 or 3 components, Huffman-coded.
        num_scans: passes over the picture, at most, where stray bytes hide markers; a
            progressive one has about ten.
        has_exif, has_profile, has_adobe: whether such a segment is there.
        is_whole: markers stand back to back from SOI to EOI.
        has_end: whether there is an EOI.
    """

    height: int = 0
    width: int = 0
    components: int = 0
    is_plain: bool = False
    num_scans: int = 0
    has_exif: bool = False
    has_profile: bool = False
    has_adobe: bool = False
    is_whole: bool = False
    has_end: bool = False


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Walk the markers of `data`, which begins with SOI, and return what they say."""
    facts: dict[str, Any] = {}
    position = 2
    while position + 4 <= len(data) or data[position : position + 2] == b"\xff\xd9":
        if data[position] != 0xFF:
            break  # bytes between two segments
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == _EOI:
            return JpegHeader(is_whole=True, has_end=True, **facts)
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if length < 2 or len(body) < length - 2:
            break
        if marker in _ALL_FRAMES and "height" in facts:
            facts["is_plain"] = False  # decoders take the first, so it counts
        elif marker in _ALL_FRAMES and len(body) >= 6:
            bits, components = body[0], body[5]
            is_plain = bits == 8 and components in (1, 3)
            facts |= {
                "height": int.from_bytes(body[1:3], "big"),
                "width": int.from_bytes(body[3:5], "big"),
                "components": components,
                "is_plain": is_plain and marker in _HUFFMAN_FRAMES,
            }
        elif marker == _APP1 and body.startswith(b"Exif\0"):
            facts["has_exif"] = True
        elif marker == _APP2 and body.startswith(b"ICC_PROFILE\0"):
            facts["has_profile"] = True
        elif marker == _APP14 and body.startswith(b"Adobe"):
            facts["has_adobe"] = True
        position += 2 + length
        if marker == _SOS:
            facts["num_scans"] = facts.get("num_scans", 0) + 1
            end = _SCAN_END.search(data, position)
            if end is None:
                return JpegHeader(**facts)  # cut off within a scan
            position = end.start()
    # Decoders look for the next marker behind stray bytes, and so find every scan.
    facts["num_scans"] = data.count(bytes((0xFF, _SOS)))
    return JpegHeader(has_end=data.rfind(b"\xff\xd9") > 0, **facts)
