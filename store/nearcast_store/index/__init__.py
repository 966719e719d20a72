"""Who is near: the index that the gateway reads."""
