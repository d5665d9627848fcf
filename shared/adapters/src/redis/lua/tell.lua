-- Gives a permit back and learns from how the request went. The same rules as memory/politeness.rs.
-- KEYS: what is known about the target (hash), its permits (sorted set)
-- ARGV: id, how it went (answered, asked, failed, unknown), Retry-After in us or -1, failures that open the breaker,
--       how long it opens in us, how long to leave alone whoever does not say in us, the longest of that in us,
--       how often times double
local known, permits, id, went = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local retry_after, failures_max, open = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local pause, longest, doublings = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
redis.call('ZREM', permits, id)
local fields = redis.call('HMGET', known, 'left_alone', 'asked', 'failures', 'opened', 'probe')
local left_alone, asked = tonumber(fields[1] or 0), tonumber(fields[2] or 0)
local failures, opened = tonumber(fields[3] or 0), tonumber(fields[4] or 0)
local was_probe = fields[5] == id
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local function keep(until_us)
  local ms = math.ceil((until_us - now) / 1000) + 600000
  if redis.call('PTTL', known) < ms then redis.call('PEXPIRE', known, text(ms)) end
end

if was_probe then redis.call('HDEL', known, 'probe', 'probe_end') end
if went == 'answered' then
  redis.call('HDEL', known, 'failures', 'asked', 'opened', 'open_until', 'probe', 'probe_end')
elseif went == 'asked' then
  redis.call('HDEL', known, 'failures', 'opened', 'open_until', 'probe', 'probe_end')
  if retry_after < 0 then retry_after = pause * 2 ^ math.min(asked, doublings) end
  left_alone = math.max(left_alone, now + math.min(retry_after, longest))
  redis.call('HSET', known, 'left_alone', text(left_alone), 'asked', asked + 1)
  keep(left_alone)
elseif went == 'failed' then
  failures = failures + 1
  if failures_max > 0 and (was_probe or (opened == 0 and failures >= failures_max)) then
    local open_until = now + open * 2 ^ math.min(opened, doublings)
    redis.call('HSET', known, 'open_until', text(open_until), 'opened', opened + 1, 'failures', 0)
    keep(open_until)
  else
    redis.call('HSET', known, 'failures', failures)
    keep(now)
  end
end
return 0
