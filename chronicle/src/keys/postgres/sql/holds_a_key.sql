-- Whether another process may still hold a key that was destroyed; those that are long gone are swept.
WITH swept AS (
    DELETE FROM nodes WHERE until < clock_timestamp() - interval '1 hour'
)
SELECT EXISTS (
    SELECT FROM nodes
    WHERE node <> $1 AND until > clock_timestamp()
      AND seen < (SELECT number FROM destroyed_subjects WHERE subject = $2)
)
