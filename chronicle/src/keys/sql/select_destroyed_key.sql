SELECT EXISTS (SELECT 1 FROM destroyed_keys WHERE key_id = ?1);
