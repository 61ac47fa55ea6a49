-- The journal, first release.
--
-- entry.id is (execution.no << 32) + seq: the entries of one execution lie side by side in one b-tree without any further
-- index, and an append dirties one page.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE execution (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    runbook TEXT NOT NULL,
    path TEXT,
    notebook BLOB,
    parameters BLOB NOT NULL,
    mode TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    started_by TEXT NOT NULL,
    parent TEXT,
    forked_from TEXT,
    key TEXT,
    due_at REAL,
    fence INTEGER NOT NULL,
    owner TEXT,
    lease_until REAL
);
CREATE UNIQUE INDEX execution_key ON execution (key) WHERE key IS NOT NULL;
CREATE INDEX execution_status ON execution (status, id);
CREATE INDEX execution_runbook ON execution (runbook, id);
CREATE INDEX execution_path ON execution (path, id) WHERE path IS NOT NULL;
CREATE INDEX execution_parent ON execution (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX execution_due ON execution (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX execution_running ON execution (lease_until) WHERE status = 'running';

CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    step TEXT,
    key TEXT,
    at REAL NOT NULL,
    fence INTEGER,
    actor TEXT NOT NULL,
    once TEXT,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX entry_once ON entry (id >> 32, once) WHERE once IS NOT NULL;

CREATE TABLE pending (
    no INTEGER NOT NULL REFERENCES execution (no),
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    due_at REAL,
    body BLOB NOT NULL,
    PRIMARY KEY (no, key)
) WITHOUT ROWID;
CREATE INDEX pending_due ON pending (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX pending_kind ON pending (kind, due_at);
CREATE INDEX pending_key ON pending (key);

-- pack NULL: the bytes are in `data`; else they are `stored` bytes at `at` of that file beside the database.
CREATE TABLE blob (
    address BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    pack TEXT,
    at INTEGER,
    data BLOB
);
