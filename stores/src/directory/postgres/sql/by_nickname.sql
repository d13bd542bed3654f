SELECT user_id, nickname, nickname_key, name, about, sort_key, photo_id, photo_blob, settings, state, position
FROM generation.users WHERE nickname_key = $1 AND nickname_key <> '' ORDER BY position DESC LIMIT 1
