-- Puts the pointer if the held one has version ARGV[1] ('': if there is none).
-- KEYS: pointer. ARGV: held version, new version, new pointer.
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'pointer', ARGV[3])
return 1
