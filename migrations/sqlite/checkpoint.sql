-- What the rows beside it are a replay of: one row, moved in their transactions.
CREATE TABLE checkpoint (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    log_id       BLOB NOT NULL,
    generation   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    code_version INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    event_id     BLOB
) STRICT;

-- Streams that are passed over from an event on that could not be applied.
CREATE TABLE parked (
    -- As `Chat/<id>`.
    stream   TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    why      TEXT NOT NULL,
    since    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
