SELECT u.user_id, u.nickname, u.nickname_key, u.name, u.about, u.sort_key, u.photo_id, u.photo_blob,
    u.settings, u.state, u.position,
    r.other, r.relation, r.blocked, r.blocked_me, r.parted, r.parted_me, r.shown_position
FROM generation.relations r JOIN generation.users u ON u.user_id = r.other
WHERE r.person = $1
