INSERT INTO nodes (node, seen, until) VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (node) DO UPDATE SET seen = excluded.seen, until = excluded.until
