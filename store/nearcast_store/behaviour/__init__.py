"""A customer's own table of behaviour: reading it, and remembering how far it is read."""
