-- What schema 4 changed in tables of schema 3; the new ones, and all indexes, are made by schema.sql.
ALTER TABLE runs ADD COLUMN rows_doubted_at INTEGER;
DROP INDEX IF EXISTS deliveries_due;
DROP INDEX IF EXISTS deliveries_look;
ALTER TABLE deliveries RENAME TO deliveries_3;
CREATE TABLE deliveries (
    run     INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    lane    INTEGER NOT NULL,
    state   TEXT NOT NULL,
    due     INTEGER,
    look    INTEGER,
    record  BLOB NOT NULL,
    message BLOB NOT NULL,
    attention TEXT,
    PRIMARY KEY (run, idx)
) STRICT, WITHOUT ROWID;
-- As they are: what an earlier version has written is read.
INSERT INTO deliveries (run, idx, lane, state, due, look, record, message, attention)
    SELECT run, idx, lane, state, due, look, CAST(record AS BLOB), CAST(message AS BLOB),
           CASE WHEN state IN ('failed', 'unknown', 'suppressed', 'expired', 'cancelled', 'quarantined')
                THEN state END
    FROM deliveries_3;
DROP TABLE deliveries_3;
