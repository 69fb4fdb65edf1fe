-- What schema 3 changed in tables of schema 2; new tables are made by schema.sql.
ALTER TABLE runs RENAME COLUMN lost_resends TO resends;
ALTER TABLE witnesses ADD COLUMN slow INTEGER NOT NULL DEFAULT 0;
