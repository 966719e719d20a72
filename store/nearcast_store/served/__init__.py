"""How often items stood in answers: counted by gateways, not exactly once, never learned from."""
