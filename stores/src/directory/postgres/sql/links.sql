SELECT l.low, l.high, l.state, l.position
FROM unnest($1::uuid[], $2::uuid[]) AS asked (low, high) JOIN generation.links l USING (low, high)
