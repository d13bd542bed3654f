INSERT INTO keys (key_id, subject, kek, wrapped) VALUES (?1, ?2, ?3, ?4);
