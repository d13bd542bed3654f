-- States of long streams, one a stream. May be emptied at any time.
CREATE TABLE snapshots (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    shape          text             NOT NULL,
    sequence       bigint           NOT NULL,
    event_id       uuid             NOT NULL,
    state          text             NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
);

INSERT INTO log_schema (version) VALUES (2);
