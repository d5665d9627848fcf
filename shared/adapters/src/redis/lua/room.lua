-- Whether everything in a stream together is at most so many bytes: then it can be read without looking at the size of
-- each entry. A stream of which nobody knows counts as too large.
-- KEYS: stream    ARGV: most bytes, nodes of the stream that are looked at
local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', ARGV[2])
return type(bytes) == 'number' and bytes <= tonumber(ARGV[1]) and 1 or 0
