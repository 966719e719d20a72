"""Decisions that were logged: their records, on the way and kept."""
