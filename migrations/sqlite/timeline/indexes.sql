CREATE INDEX IF NOT EXISTS members_of ON members (chat_id, person);
