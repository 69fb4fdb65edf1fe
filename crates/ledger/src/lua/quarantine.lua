-- Puts a quarantined record in place of one that cannot be read, or whose message cannot.
-- The bytes that stood there are kept apart. Answers 1, or 0 when what was found damaged is
-- another one by now: the store may have been emptied and planned anew meanwhile.
-- KEYS records, counts, look, kept apart, where the damage is, messages, attention, due:<lane>*, store
-- mark
-- ARGV time, index, expected ('' when there is none), new, state before ('' when the record
--   does not tell), state after, field of the damage, its value ('' when there is none),
--   the message that was read ('' when it is not asked for)
local index, expected = ARGV[2], ARGV[3]
local held = redis.call('HGET', KEYS[1], index) or ''
local damaged = redis.call('HGET', KEYS[5], ARGV[7]) or ''
if held ~= expected or damaged ~= ARGV[8] then return 0 end
-- A record is the same whatever the text: the message says which plan it is of.
if ARGV[9] ~= '' and redis.call('HGET', KEYS[6], index) ~= ARGV[9] then return 0 end
local was, is = ARGV[5], ARGV[6]
-- Else the indexes tell: what waits to be claimed was planned, what is looked after was leased.
if redis.call('ZREM', KEYS[3], index) == 1 and was == '' then was = 'leased' end
for at = 8, #KEYS - 1 do
  if redis.call('ZREM', KEYS[at], index) == 1 and was == '' then was = 'planned' end
end
redis.call('HSET', KEYS[4], index, damaged)
redis.call('HSET', KEYS[1], index, ARGV[4])
attend(KEYS[7], index, '', is)
if was ~= '' then
  redis.call('HINCRBY', KEYS[2], was, -1)
  redis.call('HINCRBY', KEYS[2], is, 1)
end
return 1
