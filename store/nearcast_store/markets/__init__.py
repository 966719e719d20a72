"""Markets: named pieces of the earth, and which of them a point lies in."""
