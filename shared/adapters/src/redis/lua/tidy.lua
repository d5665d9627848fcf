-- Removes consumers that were not heard of for long and hold nothing: every process start makes a new one.
-- KEYS: stream    ARGV: group, ms
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
-- Where there is no stream or group yet, there is nothing to tidy.
if consumers.err then return redis.status_reply('OK') end
for _, flat in ipairs(consumers) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
  end
end
return redis.status_reply('OK')
