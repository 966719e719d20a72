"""What another policy would have earned, told from logged decisions and what came of them."""
