-- Adds those jobs to their stream that the queue does not know yet.
-- KEYS: jobs, index, reported, reports, revoked    ARGV: id, job, id, job, ...
-- The index is only believed if what it points to exists, so that any of the keys may be lost.
local jobs, index, reported, reports, revoked = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function exists(stream, entry)
  local found = redis.pcall('XRANGE', stream, entry, entry, 'COUNT', 1)
  return not found.err and #found > 0
end

local ids = {}
for i = 1, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
local entries, answered = redis.call('HMGET', index, unpack(ids)), redis.call('HMGET', reported, unpack(ids))
local gone = redis.call('ZMSCORE', revoked, unpack(ids))
local added, now = {}, {}
for i, id in ipairs(ids) do
  local known = now[id] or (entries[i] and exists(jobs, entries[i])) or (answered[i] and exists(reports, answered[i]))
  -- A publication that was overtaken by its revocation must not bring the job back.
  if not known and not gone[i] then
    added[#added + 1] = id
    added[#added + 1] = redis.call('XADD', jobs, '*', 'id', id, 'job', ARGV[2 * i])
    now[id] = true
  end
end
if #added > 0 then redis.call('HSET', index, unpack(added)) end
return redis.status_reply('OK')
