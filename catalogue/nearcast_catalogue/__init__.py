"""What an item is: its fields, its rules, and when it may be shown."""
