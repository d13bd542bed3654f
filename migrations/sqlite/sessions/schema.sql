-- Live sessions, and ended ones until their last access token has run out.
CREATE TABLE sessions (
    session_id    BLOB PRIMARY KEY,
    person        BLOB NOT NULL,
    method        TEXT NOT NULL,
    device        TEXT NOT NULL,
    address       TEXT NOT NULL,
    -- The event that device and address were sealed for.
    event_id      BLOB,
    started_at    INTEGER NOT NULL,
    refreshed_at  INTEGER NOT NULL,
    generation    INTEGER NOT NULL,
    -- Null while it lives; else when the row may go.
    ended_until   INTEGER,
    position      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
