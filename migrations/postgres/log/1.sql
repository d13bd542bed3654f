-- The log. The first seven columns of `events` and their key are what stock postgres-es reads; see
-- docs/log.md. Keys compare by bytes: faster, and the same on every machine.
CREATE TABLE events (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    sequence       bigint           NOT NULL CHECK (sequence > 0),
    event_type     text             NOT NULL,
    event_version  text             NOT NULL,
    payload        json             NOT NULL,
    metadata       json             NOT NULL,
    position       bigint           NOT NULL UNIQUE,
    event_id       uuid             NOT NULL UNIQUE,
    recorded_at    bigint           NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

-- One row: the newest event. Every batch is fenced by it, and its lock is the log's.
CREATE TABLE head (
    one         boolean PRIMARY KEY CHECK (one),
    position    bigint  NOT NULL,
    event_id    uuid,
    recorded_at bigint  NOT NULL
) WITH (fillfactor = 10);
INSERT INTO head (one, position, event_id, recorded_at) VALUES (true, 0, NULL, 0);

-- Unique names, by a keyed hash. Written with the events that they go with.
CREATE TABLE claims (
    kind     text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    owner    text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    PRIMARY KEY (kind, key)
);

-- Who is in which chat, for finding a common group.
CREATE TABLE memberships (
    person   text COLLATE "C" NOT NULL,
    chat     text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    PRIMARY KEY (person, chat)
);

-- Which of these files were applied.
CREATE TABLE log_schema (version bigint NOT NULL);
INSERT INTO log_schema (version) VALUES (1);
