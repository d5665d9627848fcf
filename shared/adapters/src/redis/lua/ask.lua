-- Asks to call a target. The same rules as memory/politeness.rs; times are microseconds of this server's clock.
-- KEYS: what is known about the target (hash), its permits (sorted set by the end of their leases)
-- ARGV: id, lease in us, interval in us, requests at a time, longest queue in us, the promised turn in us or -1,
--       when to ask again in us
-- Returns a reason ('' if the request may be made), how long to wait in us, the turn in us or -1.
local known, permits, id = KEYS[1], KEYS[2], ARGV[1]
local lease, interval, at_a_time = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local queue_max, turn, again = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local fields = redis.call('HMGET', known, 'next', 'left_alone', 'opened', 'open_until', 'probe', 'probe_end')
local following, left_alone = tonumber(fields[1] or 0), tonumber(fields[2] or 0)
local opened, open_until = tonumber(fields[3] or 0), tonumber(fields[4] or 0)
local probe, probe_end = fields[5], tonumber(fields[6] or 0)

-- Numbers of this size are written in full: the short form of Lua would round them.
local function text(number) return string.format('%.0f', number) end
-- Nothing stays for longer than it counts.
local function keep(key, until_us)
  local ms = math.ceil((until_us - now) / 1000) + 600000
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, text(ms)) end
end

if left_alone > now then return { 'retry_after', text(left_alone - now), text(turn) } end
if opened > 0 then
  if open_until > now then return { 'open', text(open_until - now), text(turn) } end
  if probe and probe ~= id and probe_end > now then return { 'open', text(again), text(turn) } end
end
if interval > 0 then
  if turn < 0 then
    turn = math.max(following, now)
    if turn - now > queue_max then return { 'rate', text(turn - now), '-1' } end
    redis.call('HSET', known, 'next', text(turn + interval))
    keep(known, turn + interval)
  end
  if turn > now then return { 'rate', text(turn - now), text(turn) } end
end
redis.call('ZREMRANGEBYSCORE', permits, '-inf', text(now))
if at_a_time > 0 and not redis.call('ZSCORE', permits, id) and redis.call('ZCARD', permits) >= at_a_time then
  return { 'busy', text(again), text(turn) }
end
redis.call('ZADD', permits, text(now + lease), id)
keep(permits, now + lease)
if opened > 0 then redis.call('HSET', known, 'probe', id, 'probe_end', text(now + lease)) end
return { '', '0', text(turn) }
