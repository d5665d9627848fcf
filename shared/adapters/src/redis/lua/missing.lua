-- Which jobs the queue does not know: returns their positions, from 1.
-- KEYS: jobs, index, reported, reports    ARGV: id, id, ...
local jobs, index, reported, reports = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function exists(stream, entry)
  local found = redis.pcall('XRANGE', stream, entry, entry, 'COUNT', 1)
  return not found.err and #found > 0
end

-- As long as both have the same size, the index is taken at its word: looking for an entry reads it whole, and jobs
-- can be large. Whatever is lost or added by hand makes the sizes differ.
local length = redis.pcall('XLEN', jobs)
local sound = type(length) == 'number' and length == redis.call('HLEN', index)
local missing = {}
for i = 1, #ARGV do
  local entry = redis.call('HGET', index, ARGV[i])
  local known = entry and (sound or exists(jobs, entry))
  if not known then
    local report = redis.call('HGET', reported, ARGV[i])
    known = report and exists(reports, report)
  end
  if not known then missing[#missing + 1] = i end
end
return missing
