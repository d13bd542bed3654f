-- One batch in one statement: the head moves only if it is the one that was believed in and no
-- command's first event is there already; everything else is written only if the head moved.
-- A concurrent writer holds the head's row; this then waits, sees another head, and writes nothing.
WITH known AS (
    SELECT event_id FROM events WHERE event_id = ANY ($1::uuid[])
),
fence AS (
    UPDATE head
    SET position = $4, event_id = $5, recorded_at = $6
    WHERE one AND position = $2 AND event_id IS NOT DISTINCT FROM $3 AND NOT EXISTS (SELECT FROM known)
    RETURNING position
),
written AS (
    INSERT INTO events (position, event_id, recorded_at, aggregate_type, aggregate_id, sequence,
                        event_type, event_version, payload, metadata)
    SELECT e.position, e.event_id, e.recorded_at, e.aggregate_type, e.aggregate_id, e.sequence,
           e.event_type, e.event_version, e.payload::json, e.metadata::json
    FROM unnest($7::bigint[], $8::uuid[], $9::bigint[], $10::text[], $11::text[], $12::bigint[],
                $13::text[], $14::text[], $15::text[], $16::text[])
         AS e (position, event_id, recorded_at, aggregate_type, aggregate_id, sequence,
               event_type, event_version, payload, metadata)
    WHERE EXISTS (SELECT FROM fence)
),
claimed AS (
    INSERT INTO claims (kind, key, owner, position)
    SELECT c.kind, c.key, c.owner, c.position
    FROM unnest($17::text[], $18::text[], $19::text[], $20::bigint[]) AS c (kind, key, owner, position)
    WHERE c.owner IS NOT NULL AND EXISTS (SELECT FROM fence)
    ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, position = excluded.position
),
given_up AS (
    DELETE FROM claims USING unnest($17::text[], $18::text[], $19::text[]) AS c (kind, key, owner)
    WHERE claims.kind = c.kind AND claims.key = c.key AND c.owner IS NULL AND EXISTS (SELECT FROM fence)
),
joined AS (
    INSERT INTO memberships (person, chat, position)
    SELECT m.person, m.chat, m.position
    FROM unnest($21::text[], $22::text[], $23::bigint[]) AS m (person, chat, position)
    WHERE EXISTS (SELECT FROM fence)
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM fence) AS committed,
       (SELECT head.position = $2 AND head.event_id IS NOT DISTINCT FROM $3 FROM head) AS fence_held,
       ARRAY(SELECT event_id FROM known) AS repeats
