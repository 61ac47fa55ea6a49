"""What keeps an execution from changing too much, too often, at the wrong time, or unasked."""
