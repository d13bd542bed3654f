-- States of long streams, one a stream. May be deleted at any time.
CREATE TABLE IF NOT EXISTS snapshots (
    aggregate_type TEXT    NOT NULL,
    aggregate_id   TEXT    NOT NULL,
    shape          TEXT    NOT NULL,
    sequence       INTEGER NOT NULL,
    event_id       BLOB    NOT NULL,
    state          TEXT    NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
) STRICT;
