INSERT INTO secrets (name, version, kek, wrapped) VALUES (?1, ?2, ?3, ?4);
