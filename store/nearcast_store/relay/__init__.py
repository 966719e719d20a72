"""Carries numbered changes into Redis."""
