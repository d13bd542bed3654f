
-- Publishes notices: each a message and the people it is for. A batch that follows nothing says to
-- all that something may have been passed over.
for _, it in ipairs(changes) do
  for _, person in ipairs(it[2]) do
    redis.call('PUBLISH', base .. person, it[1])
  end
end
if ARGV[2] == '' and ARGV[5] and #changes == 0 then
  redis.call('PUBLISH', base .. 'all', '')
end
