-- Renews leases that this consumer still has; answers held, revoked or lost for each, in order.
-- KEYS: jobs, revoked    ARGV: group, consumer, entry, id, entry, id, ...
local jobs, revoked, group, me = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local answers = {}
for i = 3, #ARGV, 2 do
  local entry, id = ARGV[i], ARGV[i + 1]
  local answer = 'lost'
  if redis.call('ZSCORE', revoked, id) then
    answer = 'revoked'
  else
    local pending = redis.pcall('XPENDING', jobs, group, entry, entry, 1)
    -- Never from another consumer: it has taken over.
    if not pending.err and pending[1] and pending[1][2] == me then
      if #redis.call('XCLAIM', jobs, group, me, 0, entry, 'JUSTID') > 0 then answer = 'held' end
    end
  end
  answers[#answers + 1] = answer
end
return answers
