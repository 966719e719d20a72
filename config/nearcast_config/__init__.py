"""What can be set: process settings and the policy, declared once, checked as a whole."""
