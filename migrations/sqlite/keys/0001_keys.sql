-- The key store: everything in it is wrapped, down from a master key that lies outside.

-- One row: which log these keys belong to, and a MAC that tells a wrong master key.
CREATE TABLE identity (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log_id TEXT NOT NULL,
    master_check BLOB NOT NULL
) STRICT;

-- Key encryption keys, wrapped by the master key.
CREATE TABLE keks (
    version INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT;

-- Data keys, wrapped by a KEK. A subject can have many; the newest (by added) seals.
CREATE TABLE keys (
    added INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    kek INTEGER NOT NULL REFERENCES keks (version),
    wrapped BLOB NOT NULL
) STRICT;
CREATE INDEX keys_by_subject ON keys (subject, added);

-- What was destroyed stays known, so that it is never made again and never taken for damage.
CREATE TABLE destroyed_subjects (
    subject TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE destroyed_keys (
    key_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Named secrets of the installation (HMAC and signing keys), wrapped by a KEK.
CREATE TABLE secrets (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    kek INTEGER NOT NULL REFERENCES keks (version),
    wrapped BLOB NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
