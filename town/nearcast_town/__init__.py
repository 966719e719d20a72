"""A simulated town with a known truth: playground, load, and the measure of what was learned."""
