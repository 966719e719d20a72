"""What the gateway is put together from; `app.py` does it, and takes it down in reverse."""
