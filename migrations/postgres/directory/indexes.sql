-- Not unique: the log's claims see to that, and a replay may pass through two owners.
CREATE INDEX IF NOT EXISTS users_by_nickname ON generation.users (nickname_key, position)
    WHERE nickname_key <> '';
CREATE INDEX IF NOT EXISTS users_by_photo ON generation.users (photo_id) WHERE photo_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_by_blob ON generation.users (photo_blob) WHERE photo_blob IS NOT NULL;
CREATE INDEX IF NOT EXISTS relations_to ON generation.relations (other, person) WHERE relation <> 'none';
ANALYZE generation.accounts, generation.users, generation.links, generation.relations;
