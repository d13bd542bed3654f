INSERT INTO destroyed_subjects (subject) VALUES (?1) ON CONFLICT DO NOTHING;
