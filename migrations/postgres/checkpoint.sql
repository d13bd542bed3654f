-- What the rows beside it are a replay of: one row, moved in their transactions. Its lock is the writer's.
CREATE TABLE generation.checkpoint (
    one          boolean PRIMARY KEY CHECK (one),
    log_id       uuid    NOT NULL,
    generation   bigint  NOT NULL,
    epoch        bigint  NOT NULL,
    code_version bigint  NOT NULL,
    position     bigint  NOT NULL,
    event_id     uuid
) WITH (fillfactor = 10);

-- Streams that are passed over from an event on that could not be applied.
CREATE TABLE generation.parked (
    -- As `Chat/<id>`.
    stream   text COLLATE "C" PRIMARY KEY,
    position bigint           NOT NULL,
    sequence bigint           NOT NULL,
    why      text COLLATE "C" NOT NULL,
    since    bigint           NOT NULL
);

-- Of the tables of this schema.
CREATE TABLE generation.made (version integer NOT NULL);
