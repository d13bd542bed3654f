-- Puts claims and memberships right in one statement, inside the transaction that holds the head.
WITH dropped_claims AS (
    DELETE FROM claims USING unnest($1::text[], $2::text[]) AS c (kind, key)
    WHERE claims.kind = c.kind AND claims.key = c.key
),
put_claims AS (
    INSERT INTO claims (kind, key, owner, position)
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[])
    ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, position = excluded.position
),
dropped_memberships AS (
    DELETE FROM memberships USING unnest($7::text[], $8::text[]) AS m (person, chat)
    WHERE memberships.person = m.person AND memberships.chat = m.chat
)
INSERT INTO memberships (person, chat, position)
SELECT * FROM unnest($9::text[], $10::text[], $11::bigint[])
ON CONFLICT (person, chat) DO UPDATE SET position = excluded.position
