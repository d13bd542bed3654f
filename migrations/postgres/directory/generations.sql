-- Which generation is served, and who writes: one row, changed by whoever knows its version.
CREATE TABLE port.generations (
    one     boolean PRIMARY KEY CHECK (one),
    version bigint  NOT NULL,
    pointer json    NOT NULL
) WITH (fillfactor = 10);
