-- discard
-- Removes a sealed run before its window opens: then nothing of it was ever claimed. Answers 1,
-- or 0 when the run is another one by now, is being planned, or may have been claimed from.
-- KEYS every key of the run, meta first, store mark
-- ARGV time, header, when the window opens
local meta = redis.call('HMGET', KEYS[1], 'phase', 'header', 'incarnation')
if meta[2] ~= ARGV[2] or meta[1] == 'planning' then return 0 end
if meta[3] ~= incarnation() or now >= tonumber(ARGV[3]) then return 0 end
redis.call('UNLINK', unpack(KEYS, 1, #KEYS - 1))
return 1
