"""Taking events in: what is accepted, and as which entries of the log."""
