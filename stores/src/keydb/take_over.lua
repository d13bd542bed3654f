-- Makes the caller the writer: the checkpoint, or a fresh one, under an epoch above both.
-- KEYS: checkpoint. ARGV: epoch of the fresh one, then its fields and their values.
local held = redis.call('HGET', KEYS[1], 'epoch')
if not held then
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
end
local epoch = math.max(tonumber(held or '0'), tonumber(ARGV[1])) + 1
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch))
return redis.call('HGETALL', KEYS[1])
