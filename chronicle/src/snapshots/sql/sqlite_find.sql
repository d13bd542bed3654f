SELECT sequence, event_id, state FROM snapshots
WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND shape = ?3
