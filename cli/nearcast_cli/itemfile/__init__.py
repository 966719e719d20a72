"""A file of items: its lines, what they say, how far it was imported, and what was refused of it."""
