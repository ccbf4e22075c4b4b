"""Commands, and packages of what they share."""
