-- What belongs to no single execution: streams of lines, cursors of consumers, and the order of changes over all executions.

CREATE TABLE holdfast.stream (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    last BIGINT NOT NULL,
    digest BYTEA NOT NULL
);

CREATE TABLE holdfast.line (
    no BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    kind TEXT NOT NULL,
    key TEXT COLLATE "C",
    once TEXT COLLATE "C",
    actor TEXT NOT NULL,
    body BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (no, seq)
);
CREATE UNIQUE INDEX line_once ON holdfast.line (no, once) WHERE once IS NOT NULL;
CREATE INDEX line_key ON holdfast.line (no, key, seq) WHERE key IS NOT NULL;

CREATE TABLE holdfast.cursor (
    name TEXT COLLATE "C" PRIMARY KEY,
    position BIGINT NOT NULL,
    version BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    body BYTEA NOT NULL
);

-- Entries in an order in which nothing ever appears before what was read already. Sessions commit in another order than they
-- get their numbers in; so a number is taken under a shared lock that lasts until the commit, and a reader first takes the lock
-- for itself: every number given out by then is committed or never will be.
CREATE TABLE holdfast.change (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    no BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
CREATE FUNCTION holdfast.entry_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1212370000);
    INSERT INTO holdfast.change (no, seq) VALUES (NEW.no, NEW.seq);
    RETURN NULL;
END;
$$;
CREATE TRIGGER entry_change AFTER INSERT ON holdfast.entry FOR EACH ROW
    WHEN (NEW.kind NOT LIKE 'call.%' AND NEW.kind NOT LIKE 'item.%') EXECUTE FUNCTION holdfast.entry_change();
