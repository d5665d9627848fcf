-- Takes over what others hold whose leases have ended, and what was delivered to this consumer without arriving.
-- KEYS: stream    ARGV: group, consumer, lease in ms, most entries, most bytes, entries that this consumer holds ...
-- Returns the server's time and the entries, each with the number of consumers that were lost while they had it.
local stream = KEYS[1]
local group, me, lease, max, bytes_max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local held, held_count = {}, #ARGV - 5
for i = 6, #ARGV do held[ARGV[i]] = true end
local found, bytes = {}, 0

local function take(pending)
  local id, owner, idle, deliveries = pending[1], pending[2], pending[3], pending[4]
  if #found >= max or bytes >= bytes_max or (owner == me and held[id]) then return end
  -- A lease that has not ended was never used: the reply that carried the entry was lost.
  local deaths = idle < lease and deliveries - 1 or deliveries
  local claimed = redis.call('XCLAIM', stream, group, me, 0, id, 'RETRYCOUNT', deaths + 1)
  if claimed[1] then
    local fields = claimed[1][2]
    for i = 2, #fields, 2 do bytes = bytes + #fields[i] end
    found[#found + 1] = { id, deaths, fields }
  end
end

for _, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', held_count + max, me)) do take(pending) end
for _, pending in ipairs(redis.call('XPENDING', stream, group, 'IDLE', lease, '-', '+', held_count + max)) do
  take(pending)
end
return { redis.call('TIME'), found }
