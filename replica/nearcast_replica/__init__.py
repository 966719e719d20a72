"""Every item as columns in memory that all processes of a host share: one writer, many readers."""
