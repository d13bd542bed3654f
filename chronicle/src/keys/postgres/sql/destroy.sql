-- Numbers are given under the lock of their one row, and so in the order of commits.
WITH numbered AS (
    UPDATE destructions SET number = number + 1 RETURNING number
),
noted AS (
    INSERT INTO destroyed_subjects (subject, number) SELECT $1, number FROM numbered
    ON CONFLICT (subject) DO UPDATE SET number = excluded.number
),
noted_keys AS (
    INSERT INTO destroyed_keys (key_id) SELECT key_id FROM keys WHERE subject = $1
),
gone AS (
    DELETE FROM keys WHERE subject = $1
)
SELECT pg_notify('letopis_keys', number::text) FROM numbered
