-- How far each reactor has come: what it did outside is never done again by a rebuild, so this
-- belongs to the log.
CREATE TABLE reactors (
    name     TEXT    PRIMARY KEY,
    position INTEGER NOT NULL,
    event_id TEXT,
    epoch    INTEGER NOT NULL,
    -- Rises while the process that runs it lives.
    beat     INTEGER NOT NULL,
    -- That process; empty once it has let go.
    holder   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
