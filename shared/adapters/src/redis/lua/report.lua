-- Sends final reports and ends their jobs, wherever the jobs are and even if the queue has forgotten them.
-- KEYS: jobs, index, reported, reports    ARGV: group of the jobs, then for each report: id, entry, report
local jobs, index, reported, reports, group = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local ids, noted, gone = {}, {}, {}
for i = 2, #ARGV, 3 do
  local id, entry = ARGV[i], ARGV[i + 1]
  ids[#ids + 1] = id
  gone[#gone + 1] = entry
  -- First, because it is what a full server refuses: nothing has happened then.
  noted[#noted + 1] = id
  noted[#noted + 1] = redis.call('XADD', reports, '*', 'id', id, 'report', ARGV[i + 2])
end
redis.call('HSET', reported, unpack(noted))
for i, current in ipairs(redis.call('HMGET', index, unpack(ids))) do
  -- Published anew after a loss: one answer is enough.
  if current and current ~= gone[i] then gone[#gone + 1] = current end
end
redis.pcall('XACK', jobs, group, unpack(gone))
redis.pcall('XDEL', jobs, unpack(gone))
redis.call('HDEL', index, unpack(ids))
return redis.status_reply('OK')
