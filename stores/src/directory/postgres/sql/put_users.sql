INSERT INTO generation.users AS held
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[],
    $8::bytea[], $9::text[], $10::text[], $11::bigint[])
ON CONFLICT (user_id) DO UPDATE SET
    nickname = excluded.nickname, nickname_key = excluded.nickname_key, name = excluded.name,
    about = excluded.about, sort_key = excluded.sort_key, photo_id = excluded.photo_id,
    photo_blob = excluded.photo_blob, settings = excluded.settings, state = excluded.state, position = excluded.position
WHERE excluded.position >= held.position
