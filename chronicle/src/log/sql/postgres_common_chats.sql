SELECT one.chat
FROM memberships AS one
JOIN memberships AS other ON other.person = $2 AND other.chat = one.chat
WHERE one.person = $1
ORDER BY greatest(one.position, other.position)
LIMIT $3
