-- Puts a part of a batch; refused where another writer has taken over, or the rows are not where
-- their writer left them. Answers 'put', or why not, and what is held.
-- KEYS: checkpoint, parked, what all keys of the generation begin with.
-- ARGV: epoch, position that it follows ('': any), changes as JSON ('': none), parking as JSON
-- ('': none), then the fields of the checkpoint and their values, in the last part.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'position')
local position = held[2] or '0'
if held[1] and held[1] ~= ARGV[1] then
  return { 'stale', held[1] }
end
if ARGV[2] ~= '' and ARGV[2] ~= position then
  return { 'went back', position }
end
local base = KEYS[3]
local changes = ARGV[3] == '' and {} or cjson.decode(ARGV[3])
