-- Sends a final report and ends its job, wherever the job is and even if the queue has forgotten it.
-- KEYS: jobs, index, reported, reports    ARGV: group of the jobs, id, entry, report
local jobs, index, reported, reports = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, id, entry = ARGV[1], ARGV[2], ARGV[3]

-- First, because it is what a full server refuses: nothing has happened then.
redis.call('HSET', reported, id, redis.call('XADD', reports, '*', 'id', id, 'report', ARGV[4]))

local function remove(gone)
  redis.pcall('XACK', jobs, group, gone)
  redis.pcall('XDEL', jobs, gone)
end
remove(entry)
local current = redis.call('HGET', index, id)
if current then
  -- Published anew after a loss: one answer is enough.
  if current ~= entry then remove(current) end
  redis.call('HDEL', index, id)
end
return redis.status_reply('OK')
