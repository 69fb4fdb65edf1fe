-- Removes a run that is over, in one step; UNLINK frees its memory aside. Answers 1, or 0 when the
-- run was opened again meanwhile.
-- KEYS every key of the run, meta first, store mark
-- ARGV time
if redis.call('HGET', KEYS[1], 'phase') ~= 'closed' then return 0 end
redis.call('UNLINK', unpack(KEYS, 1, #KEYS - 1))
return 1
