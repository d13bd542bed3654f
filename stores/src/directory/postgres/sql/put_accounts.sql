INSERT INTO generation.accounts AS held
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT (user_id) DO UPDATE SET
    email = excluded.email, state = excluded.state, position = excluded.position
WHERE excluded.position >= held.position
