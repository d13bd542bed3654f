-- The log. Columns and keys of `events` are what stock sqlite-es reads, and position, event_id and
-- recorded_at; see docs/log.md.
CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    event_id       TEXT    NOT NULL UNIQUE,
    recorded_at    INTEGER NOT NULL,
    aggregate_type TEXT    NOT NULL,
    aggregate_id   TEXT    NOT NULL,
    sequence       INTEGER NOT NULL,
    event_type     TEXT    NOT NULL,
    event_version  TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, sequence)
) STRICT;

-- One row: the newest event. Every batch is fenced by it.
CREATE TABLE head (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    position    INTEGER NOT NULL,
    event_id    TEXT,
    recorded_at INTEGER NOT NULL
) STRICT;
INSERT INTO head (one, position, event_id, recorded_at) VALUES (1, 0, NULL, 0);

-- Unique names, by a keyed hash. Written with the events that they go with.
CREATE TABLE claims (
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    owner    TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- Who is in which chat, for finding a common group.
CREATE TABLE memberships (
    person   TEXT    NOT NULL,
    chat     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (person, chat)
) STRICT, WITHOUT ROWID;
