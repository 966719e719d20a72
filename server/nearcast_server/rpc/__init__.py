"""The wire: one thin file per service, and the wrapper around them."""
