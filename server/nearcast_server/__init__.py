"""The gateway: who is near, what to show, what was done."""
