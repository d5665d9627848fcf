-- Removes reports whose effect is committed.
-- KEYS: reported, reports    ARGV: group of the reports, entry, id, entry, id, ...
local reported, reports, group = KEYS[1], KEYS[2], ARGV[1]
local entries, ids = {}, {}
for i = 2, #ARGV, 2 do
  entries[#entries + 1] = ARGV[i]
  ids[#ids + 1] = ARGV[i + 1]
end
redis.pcall('XACK', reports, group, unpack(entries))
redis.pcall('XDEL', reports, unpack(entries))
local noted, done = redis.call('HMGET', reported, unpack(ids)), {}
for i, id in ipairs(ids) do
  -- A later report about the same job keeps it known.
  if noted[i] == entries[i] then done[#done + 1] = id end
end
if #done > 0 then redis.call('HDEL', reported, unpack(done)) end
return redis.status_reply('OK')
