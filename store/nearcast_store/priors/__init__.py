"""Priors as fitted to what was counted."""
