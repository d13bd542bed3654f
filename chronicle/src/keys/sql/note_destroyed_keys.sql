INSERT INTO destroyed_keys (key_id) SELECT key_id FROM keys WHERE subject = ?1;
