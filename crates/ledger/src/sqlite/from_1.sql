-- What later schemas added to tables of schema 1; new tables are made by schema.sql.
ALTER TABLE runs ADD COLUMN until INTEGER;
ALTER TABLE runs ADD COLUMN resends INTEGER NOT NULL DEFAULT 0;
