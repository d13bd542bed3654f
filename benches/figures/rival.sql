-- What pgbench inserts into: as many keys as a plain event table needs, and no more.
CREATE TABLE rival (
    position bigserial PRIMARY KEY,
    stream   uuid   NOT NULL,
    sequence bigint NOT NULL,
    payload  json   NOT NULL,
    UNIQUE (stream, sequence)
);
