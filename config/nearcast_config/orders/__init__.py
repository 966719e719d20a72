"""The orders that feeds come in: a file for each, and the registry that names them."""
