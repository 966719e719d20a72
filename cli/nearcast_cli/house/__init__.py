"""Everything in one place: what `nearcast up` starts, watches, shows and stops."""
