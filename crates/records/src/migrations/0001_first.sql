-- What every installation has: tenants, people, their consents, what people did, and what is still
-- to be told to the ledger. Instants are milliseconds since 1970. Every table has its tenant.

CREATE TABLE tenants (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

-- A person under each key that finds them: a phone number or a user id of the provider's. Erasing a
-- person deletes these rows; what is kept under person_id names nobody then.
CREATE TABLE person_keys (
  tenant TEXT NOT NULL,
  person_key TEXT NOT NULL,
  person_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, person_key)
);
CREATE INDEX person_keys_by_person ON person_keys (tenant, person_id);

-- What a person agreed to, or took back. Only ever added to. Person, category, source, proof and
-- wish name one saying: told again, the same saying is no second row.
CREATE TABLE consents (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  category TEXT NOT NULL,
  wish TEXT NOT NULL,
  said_at BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  source TEXT NOT NULL,
  proof TEXT NOT NULL,
  actor TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX consents_once ON consents (tenant, person_id, category, source, proof, wish);
CREATE INDEX consents_by_person ON consents (tenant, person_id, category, said_at);
CREATE INDEX consents_by_time ON consents (tenant, recorded_at, id);

-- What people did, each entry holding the hash of the one before it.
CREATE TABLE audit (
  tenant TEXT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  act TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL,
  hash_before TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (tenant, seq)
);

-- What the ledger has to hear, written in the transaction that decided it; `id` grows with time.
CREATE TABLE outbox (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
