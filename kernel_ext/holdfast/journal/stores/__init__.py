"""Where journals live: SQLite (embedded, the default) and PostgreSQL. Open one with ``holdfast.journal.open_store``."""
