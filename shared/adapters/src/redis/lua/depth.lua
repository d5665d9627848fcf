-- How many jobs wait and how many are leased.
-- KEYS: jobs    ARGV: group
local length = redis.pcall('XLEN', KEYS[1])
if type(length) ~= 'number' then length = 0 end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local leased = not pending.err and pending[1] or 0
return { math.max(length - leased, 0), leased }
