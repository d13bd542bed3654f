-- Counts attempts, all of the counters at once; answers how many seconds too early it is.
-- KEYS: the counters. ARGV: what to do, now in microseconds, then for each counter: attempts
-- without delay, longest delay and time to be forgotten in seconds, '1' if it delays only after
-- all before it.
local SECOND = 1000000
local act, now = ARGV[1], tonumber(ARGV[2])

if act == 'reset' then
  redis.call('DEL', unpack(KEYS))
  return 0
end

local counts, wait, all_begun = {}, now, true
for i, key in ipairs(KEYS) do
  local it = { free = tonumber(ARGV[4 * i - 1]), longest = tonumber(ARGV[4 * i]),
    forget = tonumber(ARGV[4 * i + 1]), after = ARGV[4 * i + 2] == '1', attempts = 0 }
  counts[i] = it
  local held = redis.call('HMGET', key, 'attempts', 'last')
  local last = held[2] and tonumber(held[2])
  if last and now < last + it.forget * SECOND then
    it.attempts = tonumber(held[1])
    if all_begun or not it.after then
      local welcome = last
      if it.attempts >= it.free then
        welcome = last + math.min(it.longest, 2 ^ math.min(it.attempts - it.free, 52)) * SECOND
      end
      wait = math.max(wait, welcome)
    end
  end
  all_begun = all_begun and it.attempts >= it.free
end

if act == 'forgive' then
  for i, key in ipairs(KEYS) do
    if counts[i].attempts > 0 then
      redis.call('HINCRBY', key, 'attempts', -1)
    end
  end
  return 0
end
if act ~= 'count' and wait > now then
  return math.ceil((wait - now) / SECOND)
end
if act ~= 'check' then
  for i, key in ipairs(KEYS) do
    redis.call('HSET', key, 'attempts', string.format('%.0f', counts[i].attempts + 1), 'last', ARGV[2])
    redis.call('EXPIRE', key, string.format('%.0f', counts[i].forget))
  end
end
return 0
