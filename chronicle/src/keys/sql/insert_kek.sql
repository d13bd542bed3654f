INSERT INTO keks (version, wrapped) VALUES (?1, ?2);
