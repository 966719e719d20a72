"""One file for each command; what is slow to import is imported when the command runs."""
