"""Loopback servers that play the outside in tests, each in its own process."""
