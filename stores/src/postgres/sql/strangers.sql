-- A relation that is there where there is no table of ours: then the schema is somebody else's.
SELECT relname::text FROM pg_class
WHERE relnamespace = to_regnamespace($1::text) AND to_regclass($1::text || '.generations') IS NULL
ORDER BY relname LIMIT 1
