CREATE TABLE chats (
    chat_id      BLOB PRIMARY KEY,
    kind         TEXT NOT NULL,
    created_by   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    -- Of a group; sealed for the event beside it.
    title        TEXT,
    title_event  BLOB,
    history      TEXT,
    last_number  INTEGER NOT NULL,
    active_at    INTEGER NOT NULL,
    member_count INTEGER NOT NULL,
    -- Positions: of the creation, the title, the end, the last deletion of a message, and the last
    -- change that all in it hear of.
    created      INTEGER NOT NULL,
    titled       INTEGER NOT NULL,
    dissolved    INTEGER NOT NULL,
    deletion     INTEGER NOT NULL,
    changed      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What advances reading: each only grows, and is kept apart from the others.
CREATE TABLE members (
    chat_id       BLOB NOT NULL,
    person        BLOB NOT NULL,
    role          TEXT NOT NULL,
    has_left      INTEGER NOT NULL,
    -- JSON: what may be read; all of it if empty.
    sees          TEXT NOT NULL,
    joined_number INTEGER NOT NULL,
    marked_number INTEGER NOT NULL,
    sent_number   INTEGER NOT NULL,
    -- When `marked_number` was marked.
    marked        INTEGER NOT NULL,
    muted_until   INTEGER,
    pinned        INTEGER NOT NULL,
    -- When the two were set.
    kept          INTEGER NOT NULL,
    -- Joining, leaving and changes of role; 0 for somebody of whom only a mark is known: no member.
    position      INTEGER NOT NULL,
    PRIMARY KEY (chat_id, person)
) STRICT, WITHOUT ROWID;

-- sent_at and position never fall with number, so both are found by it without an index.
CREATE TABLE messages (
    chat_id        BLOB NOT NULL,
    number         INTEGER NOT NULL,
    message_id     BLOB NOT NULL,
    author         BLOB NOT NULL,
    -- Empty once it was deleted.
    text           TEXT NOT NULL,
    -- The event that the text was sealed for.
    event_id       BLOB,
    sent_at        INTEGER NOT NULL,
    reply_to       INTEGER,
    -- JSON
    attachments    TEXT,
    forwarded_from BLOB,
    lines          INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    PRIMARY KEY (chat_id, number)
) STRICT, WITHOUT ROWID;

-- What became of those messages that somebody has touched: another stream, which may come first.
CREATE TABLE touches (
    chat_id   BLOB NOT NULL,
    number    INTEGER NOT NULL,
    -- The newest wording.
    text      TEXT,
    event_id  BLOB,
    edited_at INTEGER,
    deleted   TEXT,
    -- Positions: of that wording, of the deletion, of the last touch.
    edited    INTEGER NOT NULL,
    removed   INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (chat_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE edits (
    chat_id  BLOB NOT NULL,
    number   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    text     TEXT NOT NULL,
    event_id BLOB,
    at       INTEGER NOT NULL,
    PRIMARY KEY (chat_id, number, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE reactions (
    chat_id  BLOB NOT NULL,
    number   INTEGER NOT NULL,
    person   BLOB NOT NULL,
    -- Absent: taken back.
    emoji    TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (chat_id, number, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE lines (
    chat_id      BLOB NOT NULL,
    ordinal      INTEGER NOT NULL,
    after_number INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    by_person    BLOB,
    person       BLOB,
    title        TEXT,
    title_event  BLOB,
    role         TEXT,
    count        INTEGER,
    at           INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    PRIMARY KEY (chat_id, ordinal)
) STRICT, WITHOUT ROWID;

-- Which message carries a blob.
CREATE TABLE blobs (
    blob    BLOB PRIMARY KEY,
    chat_id BLOB NOT NULL,
    number  INTEGER NOT NULL,
    -- The message was deleted.
    gone    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
