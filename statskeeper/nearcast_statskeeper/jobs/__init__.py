"""What is done on a schedule, one job per file."""
