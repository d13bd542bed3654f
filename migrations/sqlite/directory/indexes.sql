-- Not unique: the log's claims see to that, and a replay may pass through two owners.
CREATE INDEX IF NOT EXISTS users_by_nickname ON users (nickname_key, position) WHERE nickname_key <> '';
CREATE INDEX IF NOT EXISTS relations_to ON relations (other, person) WHERE relation <> 'none';
