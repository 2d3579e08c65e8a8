"""Prove that records are what was written."""
