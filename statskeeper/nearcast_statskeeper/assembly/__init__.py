"""What the keeper is put together from; `app.py` does it, and takes it down in reverse."""
