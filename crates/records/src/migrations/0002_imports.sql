-- What was imported, by set: a list of recipients, or the content of a campaign and a date. A set has
-- versions; a row is of all versions from `since` on, until one that is no longer its own. Kept are
-- the rows of the present version and of the one before it.

CREATE TABLE imports (
  tenant TEXT NOT NULL,
  set_name TEXT NOT NULL,
  version BIGINT NOT NULL,
  id TEXT NOT NULL,
  imported_at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  act TEXT NOT NULL,
  rows_total BIGINT NOT NULL,
  rows_added BIGINT NOT NULL,
  rows_changed BIGINT NOT NULL,
  rows_removed BIGINT NOT NULL,
  PRIMARY KEY (tenant, set_name, version)
);

CREATE TABLE import_rows (
  tenant TEXT NOT NULL,
  set_name TEXT NOT NULL,
  row_key TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, set_name, row_key, since)
);

-- What a run was planned from, compressed and in parts, so that any host can finish a plan.
CREATE TABLE blobs (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  part BIGINT NOT NULL,
  parts BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (tenant, kind, name, part)
);
