"""Commands, and the rooms of what they share."""
