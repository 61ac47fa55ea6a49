"""Questions to people: opening, listing, answering. Carrying them to a person is a channel's work."""
