
-- What is parked, and the checkpoint.
for _, parking in ipairs(ARGV[4] == '' and {} or cjson.decode(ARGV[4])) do
  if parking[2] == '' then
    redis.call('HDEL', KEYS[2], parking[1])
  else
    redis.call('HSET', KEYS[2], parking[1], parking[2])
  end
end
if ARGV[5] then
  redis.call('HSET', KEYS[1], unpack(ARGV, 5))
end
return { 'put', position }
