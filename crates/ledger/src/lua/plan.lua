-- Inserts planned deliveries and moves the cursor, in one step. Answers the cursor.
-- KEYS meta, records, messages, bodies, counts, look, due-prefix
-- ARGV time, from, body count, (hash, body)*, then per row: record, message, state, lane, due, look
--   (due or look is a score, the other one is empty)
local cursor = tonumber(redis.call('HGET', KEYS[1], 'cursor'))
if redis.call('HGET', KEYS[1], 'phase') ~= 'planning' then return cursor end
local from, bodies = tonumber(ARGV[2]), tonumber(ARGV[3])
local at = 4
for _ = 1, bodies do
  redis.call('HSETNX', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
local index = from
while at <= #ARGV do
  if index >= cursor then
    redis.call('HSET', KEYS[2], index, ARGV[at])
    redis.call('HSET', KEYS[3], index, ARGV[at + 1])
    redis.call('HINCRBY', KEYS[5], ARGV[at + 2], 1)
    if ARGV[at + 4] ~= '' then
      redis.call('ZADD', KEYS[7] .. ARGV[at + 3], ARGV[at + 4], index)
    elseif ARGV[at + 5] ~= '' then
      redis.call('ZADD', KEYS[6], ARGV[at + 5], index)
    end
  end
  index = index + 1
  at = at + 6
end
if index > cursor then
  cursor = index
  redis.call('HSET', KEYS[1], 'cursor', cursor)
end
return cursor
