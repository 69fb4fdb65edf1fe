-- Compares whole records and swaps them, with their counters and indexes. This is the
-- ledger's guard: a record that changed meanwhile is not touched.
-- KEYS meta, records, counts, look, due-prefix
-- ARGV phase that the run must be in ('' for any), then per item:
--   index, expected, new, state before, state after, lane, due, look, not after ('' for never)
-- Answers {phase, now, per item: 'ok' | 'late' | 'phase' | '=' .. the record as it is | 'gone'}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local phase = redis.call('HGET', KEYS[1], 'phase') or ''
local answer = {phase, string.format('%.0f', now)}
for at = 2, #ARGV, 9 do
  local index, expected = ARGV[at], ARGV[at + 1]
  local held = redis.call('HGET', KEYS[2], index)
  local verdict
  if not held then
    verdict = 'gone'
  elseif held ~= expected then
    verdict = '=' .. held
  elseif ARGV[1] ~= '' and phase ~= ARGV[1] then
    verdict = 'phase'
  elseif ARGV[at + 8] ~= '' and now >= tonumber(ARGV[at + 8]) then
    verdict = 'late'
  else
    verdict = 'ok'
    local was, is, lane = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
    redis.call('HSET', KEYS[2], index, ARGV[at + 2])
    if was ~= is then
      redis.call('HINCRBY', KEYS[3], was, -1)
      redis.call('HINCRBY', KEYS[3], is, 1)
    end
    local due = KEYS[5] .. lane
    if ARGV[at + 6] ~= '' then
      redis.call('ZADD', due, ARGV[at + 6], index)
      redis.call('ZREM', KEYS[4], index)
    else
      redis.call('ZREM', due, index)
      if ARGV[at + 7] ~= '' then
        redis.call('ZADD', KEYS[4], ARGV[at + 7], index)
      else
        redis.call('ZREM', KEYS[4], index)
      end
    end
  end
  answer[#answer + 1] = verdict
end
return answer
