"""The earth: what a point is, how far things are apart, and what a circle must search."""
