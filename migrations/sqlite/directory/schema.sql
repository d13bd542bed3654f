CREATE TABLE accounts (
    user_id  BLOB PRIMARY KEY,
    email    TEXT NOT NULL,
    state    TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    user_id      BLOB PRIMARY KEY,
    nickname     TEXT NOT NULL,
    nickname_key TEXT NOT NULL,
    name         TEXT NOT NULL,
    about        TEXT NOT NULL,
    sort_key     TEXT NOT NULL,
    -- Both or neither.
    photo_id     BLOB,
    photo_blob   BLOB,
    -- JSON
    settings     TEXT NOT NULL,
    state        TEXT NOT NULL,
    position     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A pair's friendship as the domain folds it.
CREATE TABLE links (
    low      BLOB NOT NULL,
    high     BLOB NOT NULL,
    state    TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (low, high)
) STRICT, WITHOUT ROWID;

-- The same, once for each of the two.
CREATE TABLE relations (
    person         BLOB NOT NULL,
    other          BLOB NOT NULL,
    relation       TEXT NOT NULL,
    blocked        INTEGER NOT NULL,
    blocked_me     INTEGER NOT NULL,
    parted         INTEGER NOT NULL,
    parted_me      INTEGER NOT NULL,
    -- The last change that `person` may notice.
    shown_position INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    PRIMARY KEY (person, other)
) STRICT, WITHOUT ROWID;
