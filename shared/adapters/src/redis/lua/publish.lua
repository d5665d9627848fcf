-- Adds those jobs to their stream that the queue does not know yet.
-- KEYS: jobs, index, reported, reports, revoked    ARGV: id, job, id, job, ...
-- The index is only believed if what it points to exists, so that any of the keys may be lost.
local jobs, index, reported, reports, revoked = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function exists(stream, entry)
  local found = redis.pcall('XRANGE', stream, entry, entry, 'COUNT', 1)
  return not found.err and #found > 0
end

for i = 1, #ARGV, 2 do
  local id, job = ARGV[i], ARGV[i + 1]
  local entry = redis.call('HGET', index, id)
  local report = redis.call('HGET', reported, id)
  local known = (entry and exists(jobs, entry)) or (report and exists(reports, report))
  -- A publication that was overtaken by its revocation must not bring the job back.
  if not known and not redis.call('ZSCORE', revoked, id) then
    entry = redis.call('XADD', jobs, '*', 'id', id, 'job', job)
    redis.call('HSET', index, id, entry)
  end
end
return redis.status_reply('OK')
