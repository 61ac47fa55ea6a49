"""The append-only record of every execution, on SQLite or PostgreSQL. Speaks in entries and knows no concept."""

from holdfast.journal.errors import OnceTaken
from holdfast.journal.opening import open_store
from holdfast.journal.store import BlobStore, Store
from holdfast.journal.streams import StreamMoved, StreamStore
from holdfast.journal.writer import Writer

__all__ = ["BlobStore", "OnceTaken", "Store", "StreamMoved", "StreamStore", "Writer", "open_store"]
