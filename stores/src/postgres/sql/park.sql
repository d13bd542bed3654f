INSERT INTO generation.parked
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
ON CONFLICT (stream) DO UPDATE SET
    position = excluded.position, sequence = excluded.sequence, why = excluded.why, since = excluded.since
