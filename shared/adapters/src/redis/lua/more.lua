-- Reads new entries one by one until there are enough of them, or enough bytes: how large an entry is shows only when it
-- has been read. Answers what XREADGROUP would.
-- KEYS: stream    ARGV: group, consumer, most entries, most bytes
local stream = KEYS[1]
local group, me, max, bytes_max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local found, bytes = {}, 0
while #found < max and bytes < bytes_max do
  local read = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', 1, 'STREAMS', stream, '>')
  -- Nothing more, or the group has just gone: the next read says so.
  if not read or read.err then break end
  local entry = read[1][2][1]
  if entry[2] then
    for i = 2, #entry[2], 2 do bytes = bytes + #entry[2][i] end
  end
  found[#found + 1] = entry
end
return found
