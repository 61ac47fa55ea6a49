"""Who sends a request: tokens, sessions, JWTs, headers of a trusted proxy."""
