"""The demo's drawn pictures."""
