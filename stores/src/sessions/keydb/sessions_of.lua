-- The rows of one's live sessions, and the position that they are at in that moment.
-- KEYS: checkpoint, set of ids. ARGV: what the keys of rows begin with.
local found = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  table.insert(found, { id, redis.call('HGETALL', ARGV[1] .. id) })
end
return { redis.call('HGET', KEYS[1], 'position'), found }
