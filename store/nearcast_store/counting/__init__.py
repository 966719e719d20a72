"""The ledger, and the integers folded from it."""
