"""The stats keeper: events in, statistics out."""
