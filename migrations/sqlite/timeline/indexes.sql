CREATE INDEX IF NOT EXISTS members_in ON members (person, chat_id);
CREATE INDEX IF NOT EXISTS touches_by_position ON touches (chat_id, position);
