
-- Changes of sessions: lists of texts, the first says which. A row that a later position has
-- changed stays as it is.
local DAY = 86400000

local function drop_live(id, person)
  redis.call('ZREM', base .. 'started', id)
  redis.call('ZREM', base .. 'refreshed', id)
  redis.call('SREM', base .. 'of:' .. person, id)
end

local function forget_live(index, before)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. index, '-inf', '(' .. before)) do
    local row = base .. 'row:' .. id
    drop_live(id, redis.call('HGET', row, 'person') or '')
    redis.call('DEL', row)
  end
end

-- The row if nothing later has changed it, and whose session it is.
local function open(id, at)
  local row = base .. 'row:' .. id
  local held = redis.call('HMGET', row, 'position', 'person', 'until')
  if held[1] and tonumber(held[1]) > tonumber(at) then
    return nil
  end
  return row, held[2], held[3]
end

for _, it in ipairs(changes) do
  local kind, id = it[1], it[2]
  if kind == 'started' then
    local person, started, refreshed, at = it[3], it[7], it[8], it[10]
    local row, before = open(id, at)
    if row then
      if before and before ~= person then
        redis.call('SREM', base .. 'of:' .. before, id)
      end
      redis.call('DEL', row)
      redis.call('ZREM', base .. 'ended', id)
      redis.call('HSET', row, 'person', person, 'method', it[4], 'device', it[5], 'address', it[6],
        'started_at', started, 'refreshed_at', refreshed, 'generation', it[9], 'position', at,
        'event_id', it[11])
      redis.call('ZADD', base .. 'started', started, id)
      redis.call('ZADD', base .. 'refreshed', refreshed, id)
      redis.call('SADD', base .. 'of:' .. person, id)
    end
  elseif kind == 'refreshed' then
    local generation, refreshed, at = it[3], it[4], it[5]
    local row, person, ended = open(id, at)
    if row and person and not ended then
      redis.call('HSET', row, 'generation', generation, 'refreshed_at', refreshed, 'position', at)
      redis.call('ZADD', base .. 'refreshed', refreshed, id)
    end
  elseif kind == 'ended' then
    local person, till, at = it[3], it[4], it[5]
    local row, before = open(id, at)
    if row then
      drop_live(id, before or person)
      redis.call('DEL', row)
      redis.call('HSET', row, 'person', person, 'until', till, 'position', at)
      redis.call('ZADD', base .. 'ended', till, id)
      -- A net beneath 'forget', by this server's clock: an id whose tokens have all run out goes
      -- although nothing happens any more.
      local now = redis.call('TIME')
      local ends = math.max(tonumber(till) / 1000, tonumber(now[1]) * 1000) + DAY
      redis.call('PEXPIREAT', row, string.format('%.0f', ends))
    end
  elseif kind == 'forget' then
    local now, started_before, refreshed_before = it[2], it[3], it[4]
    for _, old in ipairs(redis.call('ZRANGEBYSCORE', base .. 'ended', '-inf', '(' .. now)) do
      redis.call('DEL', base .. 'row:' .. old)
      redis.call('ZREM', base .. 'ended', old)
    end
    forget_live('started', started_before)
    forget_live('refreshed', refreshed_before)
  end
end
