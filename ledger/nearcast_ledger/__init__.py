"""What an event is: kinds, identity, horizon, and the tokens that prove what was shown."""
