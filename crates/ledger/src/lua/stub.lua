-- Keeps the news of a row that a rolling run has forgotten. Answers 1, or 0 when there is a record.
-- KEYS meta, records, counts, look, attention, indexes, store mark
-- ARGV time, index, record, state, look ('' when nobody must look)
local index, state = ARGV[2], ARGV[4]
if redis.call('HSETNX', KEYS[2], index, ARGV[3]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[3], state, 1)
if ARGV[5] ~= '' then redis.call('ZADD', KEYS[4], ARGV[5], index) end
attend(KEYS[5], index, '', state)
redis.call('ZADD', KEYS[6], index, index)
redis.call('HINCRBY', KEYS[1], 'cursor', 1)
redis.call('HINCRBY', KEYS[1], 'generation', 1)
return 1
