"""The libraries whose version can change a verdict or a stored byte."""

import PIL
import simplejpeg
from PIL import features

_LIBRARIES = ("libjpeg_turbo", "zlib", "libtiff", "webp", "littlecms2")


def codec_versions() -> dict[str, str]:
    """Return the versions of the codecs that judge pictures and encode new ones."""
    return {
        "pillow": PIL.__version__,
        "simplejpeg": simplejpeg.__version__,
        **{name: str(features.version(name)) for name in _LIBRARIES},
    }
