-- Begins, reads or changes a run. Answers {created, phase, cursor, sealed_at, started_at,
-- header, now}; phase is false when there is no such run.
-- KEYS meta · ARGV operation, value
--   begin <header>   insert if absent
--   read
--   seal <total>     planning -> open, when the cursor has reached the total
--   start            note the first sender
--   phase <name>
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local text = string.format('%.0f', now)
local op, value = ARGV[1], ARGV[2]
local created = 0
if op == 'begin' and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'header', value, 'phase', 'planning', 'cursor', 0)
  created = 1
elseif redis.call('EXISTS', KEYS[1]) == 1 then
  if op == 'seal' and redis.call('HGET', KEYS[1], 'phase') == 'planning'
     and redis.call('HGET', KEYS[1], 'cursor') == value then
    redis.call('HSET', KEYS[1], 'phase', 'open', 'sealed_at', text)
  elseif op == 'start' then
    redis.call('HSETNX', KEYS[1], 'started_at', text)
  elseif op == 'phase' then
    redis.call('HSET', KEYS[1], 'phase', value)
  end
end
local row = redis.call('HMGET', KEYS[1], 'phase', 'cursor', 'sealed_at', 'started_at', 'header')
return {created, row[1], row[2], row[3], row[4], row[5], text}
