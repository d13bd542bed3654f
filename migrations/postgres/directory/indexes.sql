-- Not unique: the log's claims see to that, and a replay may pass through two owners.
CREATE INDEX IF NOT EXISTS users_by_nickname ON generation.users (nickname_key, position)
    WHERE nickname_key <> '';
CREATE INDEX IF NOT EXISTS relations_to ON generation.relations (other, person) WHERE relation <> 'none';
ANALYZE generation.accounts, generation.users, generation.links, generation.relations;
