"""Policy revisions, feed probabilities and signing keys."""
