-- How far each reactor has come: what it did outside is never done again by a rebuild, so this
-- belongs to the log.
CREATE TABLE reactors (
    name     text COLLATE "C" PRIMARY KEY,
    position bigint           NOT NULL,
    event_id uuid,
    epoch    bigint           NOT NULL,
    -- Rises while the process that runs it lives.
    beat     bigint           NOT NULL,
    -- That process; null once it has let go.
    holder   uuid
) WITH (fillfactor = 50);

INSERT INTO log_schema (version) VALUES (3);
