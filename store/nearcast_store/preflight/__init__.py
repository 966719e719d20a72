"""What Redis and Postgres must be set to before anything is promised on top of them."""
