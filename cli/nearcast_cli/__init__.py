"""The front door: one command for every process."""
