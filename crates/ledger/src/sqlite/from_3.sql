-- What schema 4 changed in tables of schema 3; new tables and indexes are made by schema.sql.
ALTER TABLE deliveries ADD COLUMN attention TEXT AS (
    CASE WHEN state IN ('failed', 'unknown', 'suppressed', 'expired', 'cancelled', 'quarantined')
         THEN state END) VIRTUAL;
ALTER TABLE runs ADD COLUMN rows_doubted_at INTEGER;
