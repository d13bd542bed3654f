INSERT INTO snapshots (aggregate_type, aggregate_id, shape, sequence, event_id, state)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET
    shape = excluded.shape, sequence = excluded.sequence, event_id = excluded.event_id, state = excluded.state
