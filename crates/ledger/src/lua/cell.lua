-- Replaces a small named text that is still as expected; answers 1, or 0 when it is not.
-- KEYS cell · ARGV time, '=' .. expected ('' when there must be none), new
local held = redis.call('GET', KEYS[1])
if (held and '=' .. held or '') ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
return 1
