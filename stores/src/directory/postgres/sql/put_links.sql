INSERT INTO generation.links AS held
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[])
ON CONFLICT (low, high) DO UPDATE SET state = excluded.state, position = excluded.position
WHERE excluded.position >= held.position
