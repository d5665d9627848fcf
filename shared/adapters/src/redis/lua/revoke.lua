-- Takes jobs out of their stream and remembers for a while that nobody wants them any more.
-- KEYS: jobs, index, revoked    ARGV: group of the jobs, ms to remember, id, id, ...
local jobs, index, revoked, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', revoked, '-inf', now - ARGV[2])
-- Removals first: a full server refuses additions, unless something was written before.
for i = 3, #ARGV do
  local entry = redis.call('HGET', index, ARGV[i])
  if entry then
    redis.pcall('XACK', jobs, group, entry)
    redis.pcall('XDEL', jobs, entry)
    redis.call('HDEL', index, ARGV[i])
  end
end
for i = 3, #ARGV do redis.call('ZADD', revoked, now, ARGV[i]) end
return redis.status_reply('OK')
