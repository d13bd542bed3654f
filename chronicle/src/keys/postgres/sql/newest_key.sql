SELECT key_id, subject, kek, wrapped FROM keys WHERE subject = $1 ORDER BY added DESC LIMIT 1
