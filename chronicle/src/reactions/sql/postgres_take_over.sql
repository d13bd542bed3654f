INSERT INTO reactors (name, position, event_id, epoch, beat, holder) VALUES ($1, $2, $3, 1, 1, $4)
ON CONFLICT (name) DO UPDATE SET
    epoch = reactors.epoch + 1, beat = reactors.beat + 1, holder = excluded.holder
RETURNING position, event_id, epoch, beat, holder
