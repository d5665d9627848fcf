-- Hands jobs back that this consumer still has: each becomes a new entry, which wakes whoever waits.
-- KEYS: jobs, index    ARGV: group, consumer, then for each job: entry, id, deaths
local jobs, index, group, me = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
for i = 3, #ARGV, 3 do
  local entry, id, deaths = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local pending = redis.pcall('XPENDING', jobs, group, entry, entry, 1)
  if not pending.err and pending[1] and pending[1][2] == me then
    local found = redis.call('XRANGE', jobs, entry, entry)[1]
    if found then
      local fields = {}
      for f = 1, #found[2], 2 do fields[found[2][f]] = found[2][f + 1] end
      -- Waiting is counted from the first publication.
      local published = fields['at'] or string.match(entry, '^%d+')
      local again = redis.call('XADD', jobs, '*', 'id', id, 'job', fields['job'] or '', 'deaths', deaths, 'at', published)
      redis.call('HSET', index, id, again)
    end
    redis.call('XACK', jobs, group, entry)
    redis.call('XDEL', jobs, entry)
  end
end
return redis.status_reply('OK')
