-- A session's row, and the position that the rows are at in that moment.
-- KEYS: checkpoint, row.
return { redis.call('HGET', KEYS[1], 'position'), redis.call('HGETALL', KEYS[2]) }
