SELECT version, wrapped FROM keks ORDER BY version;
