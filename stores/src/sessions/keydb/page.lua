-- A page of sessions by an index: id, what they are sorted by, row; and the checkpoint.
-- KEYS: checkpoint, index. ARGV: what the keys of rows begin with, first, last.
local found = {}
local ids = redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[3], 'WITHSCORES')
for i = 1, #ids, 2 do
  table.insert(found, { ids[i], ids[i + 1], redis.call('HGETALL', ARGV[1] .. ids[i]) })
end
return { redis.call('HGET', KEYS[1], 'position'), redis.call('HGET', KEYS[1], 'epoch'), found }
