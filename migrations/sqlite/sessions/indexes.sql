CREATE INDEX IF NOT EXISTS sessions_of ON sessions (person) WHERE ended_until IS NULL;
CREATE INDEX IF NOT EXISTS sessions_ended ON sessions (ended_until) WHERE ended_until IS NOT NULL;
-- For what has run out.
CREATE INDEX IF NOT EXISTS sessions_started ON sessions (started_at) WHERE ended_until IS NULL;
CREATE INDEX IF NOT EXISTS sessions_refreshed ON sessions (refreshed_at) WHERE ended_until IS NULL;
