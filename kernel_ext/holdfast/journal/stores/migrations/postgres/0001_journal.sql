-- The journal, first release. Everything lives in the schema `holdfast`.
--
-- execution.last_seq is raised by the statement that writes entries: its row lock puts writers in a row, so that fence, seq and entries
-- agree. fillfactor leaves room for that update on the same page (no index is touched by it).

CREATE TABLE holdfast.execution (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    runbook TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C",
    notebook BYTEA,
    parameters BYTEA NOT NULL,
    mode TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    started_by TEXT NOT NULL,
    parent TEXT COLLATE "C",
    forked_from TEXT COLLATE "C",
    key TEXT COLLATE "C",
    due_at DOUBLE PRECISION,
    fence BIGINT NOT NULL,
    owner TEXT,
    lease_until DOUBLE PRECISION,
    last_seq BIGINT NOT NULL DEFAULT 0,
    origin UUID NOT NULL
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX execution_key ON holdfast.execution (key) WHERE key IS NOT NULL;
CREATE INDEX execution_status ON holdfast.execution (status, id);
CREATE INDEX execution_runbook ON holdfast.execution (runbook, id);
CREATE INDEX execution_path ON holdfast.execution (path, id) WHERE path IS NOT NULL;
CREATE INDEX execution_parent ON holdfast.execution (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX execution_due ON holdfast.execution (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX execution_running ON holdfast.execution (lease_until) WHERE status = 'running';

-- append names the statement that wrote the row: after a connection was lost during commit, it is looked for.
CREATE TABLE holdfast.entry (
    no BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT,
    key TEXT,
    at DOUBLE PRECISION NOT NULL,
    fence BIGINT,
    actor TEXT NOT NULL,
    once TEXT COLLATE "C",
    append UUID NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (no, seq)
);
CREATE UNIQUE INDEX entry_once ON holdfast.entry (no, once) WHERE once IS NOT NULL;

CREATE TABLE holdfast.pending (
    no BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    due_at DOUBLE PRECISION,
    body BYTEA NOT NULL,
    PRIMARY KEY (no, key)
);
CREATE INDEX pending_due ON holdfast.pending (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX pending_kind ON holdfast.pending (kind, due_at);
CREATE INDEX pending_key ON holdfast.pending (key);

-- A blob is its parts in order; they are written in one transaction.
CREATE TABLE holdfast.blob (
    address BYTEA NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    size BIGINT NOT NULL,
    encoding SMALLINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (address, part)
);
ALTER TABLE holdfast.blob ALTER COLUMN data SET STORAGE EXTERNAL;
