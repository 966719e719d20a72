"""Items: the record, not the index."""
