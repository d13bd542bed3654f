SELECT r.other, r.relation, r.blocked, r.blocked_me, r.parted, r.parted_me, r.shown_position
FROM unnest($2::uuid[]) WITH ORDINALITY AS asked (other, place)
    JOIN generation.relations r ON r.person = $1 AND r.other = asked.other
ORDER BY asked.place
