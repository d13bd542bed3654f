INSERT INTO identity (only_row, log_id, master_check) VALUES (1, ?1, ?2);
