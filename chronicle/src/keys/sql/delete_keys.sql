DELETE FROM keys WHERE subject = ?1;
