INSERT INTO generation.relations AS held
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::boolean[], $6::boolean[], $7::boolean[],
    $8::bigint[], $9::bigint[])
ON CONFLICT (person, other) DO UPDATE SET
    relation = excluded.relation, blocked = excluded.blocked, blocked_me = excluded.blocked_me,
    parted = excluded.parted, parted_me = excluded.parted_me,
    shown_position = excluded.shown_position, position = excluded.position
WHERE excluded.position >= held.position
