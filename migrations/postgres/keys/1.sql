-- The key store, in a database of its own: everything in it is wrapped, down from a master key that
-- lies outside.

-- One row: which log these keys belong to, and a MAC that tells a wrong master key.
CREATE TABLE identity (
    only_row     boolean PRIMARY KEY CHECK (only_row),
    log_id       uuid    NOT NULL,
    master_check bytea   NOT NULL
);

-- Key encryption keys, wrapped by the master key.
CREATE TABLE keks (
    version bigint PRIMARY KEY,
    wrapped bytea  NOT NULL
);

-- Data keys, wrapped by a KEK. A subject can have many; the newest (by added) seals.
CREATE TABLE keys (
    added   bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id  text COLLATE "C" NOT NULL UNIQUE,
    subject text COLLATE "C" NOT NULL,
    kek     bigint           NOT NULL REFERENCES keks (version),
    wrapped bytea            NOT NULL
);
CREATE INDEX keys_by_subject ON keys (subject, added);

-- What was destroyed stays known, so that it is never made again and never taken for damage. The
-- numbers rise in the order of commits: a node has forgotten all subjects up to one.
CREATE TABLE destroyed_subjects (
    subject text COLLATE "C" PRIMARY KEY,
    number  bigint           NOT NULL UNIQUE
);
CREATE TABLE destroyed_keys (
    key_id text COLLATE "C" PRIMARY KEY
);
CREATE TABLE destructions (
    only_row boolean PRIMARY KEY CHECK (only_row),
    number   bigint  NOT NULL
);
INSERT INTO destructions (only_row, number) VALUES (true, 0);

-- Processes that may hold opened keys: until when, and which destructions they have followed.
CREATE TABLE nodes (
    node  uuid        PRIMARY KEY,
    seen  bigint      NOT NULL,
    until timestamptz NOT NULL
);

-- Named secrets of the installation (HMAC and signing keys), wrapped by a KEK.
CREATE TABLE secrets (
    name    text COLLATE "C" NOT NULL,
    version bigint           NOT NULL,
    kek     bigint           NOT NULL REFERENCES keks (version),
    wrapped bytea            NOT NULL,
    PRIMARY KEY (name, version)
);

-- Which of these files were applied.
CREATE TABLE keys_schema (version bigint NOT NULL);
INSERT INTO keys_schema (version) VALUES (1);
