INSERT INTO generation.checkpoint VALUES (true, $1, $2, $3, $4, $5, $6) ON CONFLICT (one) DO UPDATE SET
    log_id = excluded.log_id, generation = excluded.generation, epoch = excluded.epoch,
    code_version = excluded.code_version, position = excluded.position, event_id = excluded.event_id
