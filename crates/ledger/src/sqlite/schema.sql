-- The embedded ledger. WAL, synchronous=FULL: a commit that was answered is on the disk.
-- The columns beside `record` exist for the indexes.
-- Times are microseconds since 1970, UTC.

CREATE TABLE IF NOT EXISTS runs (
    key        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,      -- daily-pack@2026-11-21
    header     TEXT NOT NULL,             -- what is fixed when planning begins
    phase      TEXT NOT NULL,             -- planning, open, paused, cancelled, closed
    cursor     INTEGER NOT NULL,          -- deliveries planned so far
    sealed_at  INTEGER,
    started_at INTEGER,
    until      INTEGER,                   -- set when an operator opened it once more
    resends INTEGER NOT NULL DEFAULT 0,
    rows_doubted_at INTEGER               -- a rolling run's: rows asked for before may have been sent
) STRICT;

-- Message bodies, once per distinct text.
CREATE TABLE IF NOT EXISTS bodies (
    run  INTEGER NOT NULL,
    hash TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS deliveries (
    run     INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    lane    INTEGER NOT NULL,
    state   TEXT NOT NULL,
    due     INTEGER,                      -- waiting: when it may be claimed
    look    INTEGER,                      -- leased, intent, ambiguous, or with an end of its own:
                                          -- when the sweeper looks
    record  BLOB NOT NULL,                -- see stored.rs
    message BLOB NOT NULL,                -- recipient, address, body hash; never changes;
                                          -- empty when only news is known of it
    attention TEXT,                       -- its state, if a person may want to look at that end
    PRIMARY KEY (run, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS deliveries_due  ON deliveries (run, lane, due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_look ON deliveries (run, look) WHERE look IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_attention ON deliveries (run, attention)
    WHERE attention IS NOT NULL;

-- Rows of rolling runs: by the caller's key, and by the hash of whom they are to.
CREATE TABLE IF NOT EXISTS row_keys (
    run INTEGER NOT NULL,
    key TEXT NOT NULL,
    idx INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS people (
    run    INTEGER NOT NULL,
    person TEXT NOT NULL,
    idx    INTEGER NOT NULL,
    PRIMARY KEY (run, person, idx)
) STRICT, WITHOUT ROWID;

-- Changed only in the transaction that changes a state, so they equal a recount.
CREATE TABLE IF NOT EXISTS counts (
    run   INTEGER NOT NULL,
    state TEXT NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (run, state)
) STRICT, WITHOUT ROWID;

-- The latest send of each lane that a webhook has spoken of, and how long slow statuses take
-- lately (microseconds): evidence needs a witness and its patience.
CREATE TABLE IF NOT EXISTS witnesses (
    run  INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    slow INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, lane)
) STRICT, WITHOUT ROWID;

-- What stood where a record could not be read.
CREATE TABLE IF NOT EXISTS damaged (
    run    INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    record BLOB NOT NULL,
    why    TEXT NOT NULL,
    PRIMARY KEY (run, idx)
) STRICT, WITHOUT ROWID;

-- Small named texts: what processes share beside deliveries.
CREATE TABLE IF NOT EXISTS cells (
    name TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
