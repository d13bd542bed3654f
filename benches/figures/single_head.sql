UPDATE head SET position = ?1, event_id = ?2, recorded_at = ?3 WHERE one = 1
