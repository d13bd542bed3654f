CREATE TABLE chats (
    chat_id      BLOB PRIMARY KEY,
    kind         TEXT NOT NULL,
    created_by   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    last_number  INTEGER NOT NULL,
    active_at    INTEGER NOT NULL,
    member_count INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    position     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What advances reading: each only grows, and is kept apart from the others.
CREATE TABLE members (
    person        BLOB NOT NULL,
    chat_id       BLOB NOT NULL,
    role          TEXT NOT NULL,
    joined_number INTEGER NOT NULL,
    marked_number INTEGER NOT NULL,
    sent_number   INTEGER NOT NULL,
    -- When `marked_number` was marked.
    marked        INTEGER NOT NULL,
    -- Joining and changes of role; 0 for somebody of whom only a mark is known: no member.
    position      INTEGER NOT NULL,
    PRIMARY KEY (person, chat_id)
) STRICT, WITHOUT ROWID;

-- sent_at and position never fall with number, so both are found by it without an index.
CREATE TABLE messages (
    chat_id    BLOB NOT NULL,
    number     INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    author     BLOB NOT NULL,
    text       TEXT NOT NULL,
    -- The event that the text was sealed for.
    event_id   BLOB,
    sent_at    INTEGER NOT NULL,
    reply_to   INTEGER,
    position   INTEGER NOT NULL,
    PRIMARY KEY (chat_id, number)
) STRICT, WITHOUT ROWID;
