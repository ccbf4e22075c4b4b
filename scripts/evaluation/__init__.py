"""Models and questions -> answers and what they are worth."""
