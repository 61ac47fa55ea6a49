"""What an author calls in a cell, and what makes calls durable unasked."""
