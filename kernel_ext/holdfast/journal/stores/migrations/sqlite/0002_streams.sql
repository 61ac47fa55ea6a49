-- What belongs to no single execution: streams of lines, cursors of consumers, and the order of changes over all executions.
--
-- line.id is (stream.no << 32) + seq, as with entries.

CREATE TABLE stream (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last INTEGER NOT NULL,
    digest BLOB NOT NULL
);

CREATE TABLE line (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    key TEXT,
    once TEXT,
    actor TEXT NOT NULL,
    body BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE UNIQUE INDEX line_once ON line (id >> 32, once) WHERE once IS NOT NULL;
CREATE INDEX line_key ON line (id >> 32, key, id) WHERE key IS NOT NULL;

CREATE TABLE cursor (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at REAL NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;

-- Entries in the order of their commits (there is one writer at a time), but for the many that belong to a step: calls and items.
CREATE TABLE change (
    n INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL
);
CREATE TRIGGER entry_change AFTER INSERT ON entry WHEN new.kind NOT GLOB 'call.*' AND new.kind NOT GLOB 'item.*'
BEGIN
    INSERT INTO change (entry) VALUES (new.id);
END;
