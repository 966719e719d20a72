"""The mathematics of choosing: exposure, posterior, draw, score, and the bandit that picks a feed."""
