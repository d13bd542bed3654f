-- A batch that writes nothing: whether the fence holds, and which of its keys are there already.
WITH known AS (
    SELECT event_id FROM events WHERE event_id = ANY ($1::uuid[])
),
seen AS (
    SELECT position = $2 AND event_id IS NOT DISTINCT FROM $3 AS fence_held FROM head
)
SELECT fence_held AND NOT EXISTS (SELECT FROM known) AS committed,
       fence_held,
       ARRAY(SELECT event_id FROM known) AS repeats
FROM seen
