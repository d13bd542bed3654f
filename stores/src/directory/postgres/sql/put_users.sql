INSERT INTO generation.users AS held
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
ON CONFLICT (user_id) DO UPDATE SET
    nickname = excluded.nickname, nickname_key = excluded.nickname_key, name = excluded.name,
    about = excluded.about, sort_key = excluded.sort_key, state = excluded.state, position = excluded.position
WHERE excluded.position >= held.position
