SELECT user_id, nickname, nickname_key, name, about, sort_key, photo_id, photo_blob, settings, state, position
FROM generation.users WHERE photo_id = $1 ORDER BY position DESC LIMIT 1
