-- Removes reports whose effect is committed.
-- KEYS: reported, reports    ARGV: group of the reports, entry, id, entry, id, ...
local reported, reports, group = KEYS[1], KEYS[2], ARGV[1]
for i = 2, #ARGV, 2 do
  local entry, id = ARGV[i], ARGV[i + 1]
  redis.pcall('XACK', reports, group, entry)
  redis.pcall('XDEL', reports, entry)
  -- A later report about the same job keeps it known.
  if redis.call('HGET', reported, id) == entry then redis.call('HDEL', reported, id) end
end
return redis.status_reply('OK')
