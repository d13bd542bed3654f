SELECT EXISTS (SELECT 1 FROM destroyed_subjects WHERE subject = ?1);
