-- Who may do what: operators with a role, their keys and sessions (hashes only, so that a copy of the
-- database lets nobody in), and requests that are answered once. And how far the notes of acts, which
-- each host keeps on its disk, are in the audit.

CREATE TABLE operators (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  disabled_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE api_keys (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  operator TEXT NOT NULL,
  label TEXT NOT NULL,
  role TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX api_keys_by_secret ON api_keys (secret_hash);

CREATE TABLE sessions (
  tenant TEXT NOT NULL,
  secret_hash TEXT NOT NULL PRIMARY KEY,
  operator TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_operator ON sessions (tenant, operator);

CREATE TABLE idempotency (
  tenant TEXT NOT NULL,
  request_key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  answer TEXT NOT NULL,
  begun_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, request_key)
);
CREATE INDEX idempotency_by_end ON idempotency (expires_at);

CREATE TABLE noted_acts (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  upto BIGINT NOT NULL,
  known_by TEXT NOT NULL,
  PRIMARY KEY (tenant, source)
);
