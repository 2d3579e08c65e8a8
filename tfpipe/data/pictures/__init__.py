"""One picture: judged, made upright sRGB, resized, encoded."""
