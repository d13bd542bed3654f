SELECT key_id, subject, kek, wrapped FROM keys WHERE key_id = ?1;
