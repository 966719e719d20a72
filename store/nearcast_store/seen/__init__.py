"""What each person has seen lately: for leaving it out, never for counting."""
