"""One suite per contract; every implementation runs it by subclassing its classes."""
