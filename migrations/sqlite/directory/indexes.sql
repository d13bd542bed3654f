-- Not unique: the log's claims see to that, and a replay may pass through two owners.
CREATE INDEX IF NOT EXISTS users_by_nickname ON users (nickname_key, position) WHERE nickname_key <> '';
CREATE INDEX IF NOT EXISTS relations_to ON relations (other, person) WHERE relation <> 'none';
CREATE INDEX IF NOT EXISTS users_by_photo ON users (photo_id) WHERE photo_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_by_blob ON users (photo_blob) WHERE photo_blob IS NOT NULL;
