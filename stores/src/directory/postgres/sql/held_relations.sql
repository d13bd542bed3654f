SELECT r.person, r.other, r.relation, r.blocked, r.blocked_me, r.parted, r.parted_me, r.shown_position, r.position
FROM unnest($1::uuid[], $2::uuid[]) AS asked (person, other) JOIN generation.relations r USING (person, other)
