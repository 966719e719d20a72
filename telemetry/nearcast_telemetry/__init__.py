"""What a process says of itself: logs, metrics, and the endpoint that shows them."""
