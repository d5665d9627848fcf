-- Reads new entries, a few at a time, until there are enough of them, or enough bytes: how large an entry is shows only
-- when it has been read. Answers what XREADGROUP would.
-- KEYS: stream    ARGV: group, consumer, most entries, most bytes, entries at a time
local stream = KEYS[1]
local group, me, max, bytes_max, few = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local found, bytes = {}, 0
while #found < max and bytes < bytes_max do
  local count = math.min(few, max - #found)
  local read = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', count, 'STREAMS', stream, '>')
  -- Nothing more, or the group has just gone: the next read says so.
  if not read or read.err then break end
  local entries = read[1][2]
  for _, entry in ipairs(entries) do
    if entry[2] then
      for i = 2, #entry[2], 2 do bytes = bytes + #entry[2][i] end
    end
    found[#found + 1] = entry
  end
  if #entries < count then break end
end
return #found > 0 and { { stream, found } } or {}
