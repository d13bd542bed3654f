SELECT u.user_id, u.nickname, u.nickname_key, u.name, u.about, u.sort_key, u.photo_id, u.photo_blob,
    u.settings, u.state, u.position
FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (user_id, place) JOIN generation.users u USING (user_id)
ORDER BY asked.place
