"""Tables of results -> the trials that they lack, and the tables themselves."""
