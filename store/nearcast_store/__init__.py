"""What is kept and where: Postgres, Redis, and the same in memory."""
