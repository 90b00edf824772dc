"""What is wrong with a stack as a whole, and what becomes of each of its keys."""
