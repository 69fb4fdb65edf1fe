-- Compares whole records and swaps them, with their counters and indexes. This is the
-- ledger's guard: a record that changed meanwhile is not touched, and nothing is sent from
-- a store that may have forgotten what it answered.
-- KEYS meta, records, counts, look, due-prefix, witnesses, attention, store mark
-- ARGV time, generation that was seen ('' for none), phase that the run was taken to be in, '1'
-- when it must not be fenced, per item:
--   index, expected, new, state before, state after, lane, due, look, not after ('' for
--   never), witness ('' for none), most resends on evidence ('' when it is none), how long
--   the status took in microseconds (0 for others), the lane that it leaves ('' when it stays)
-- Answers {phase, now, generation, fenced, per item: 'ok' | 'late' | 'phase' | 'fenced' | 'budget' | 'gone' |
--   '=' .. the record as it is}.
local meta = redis.call('HMGET', KEYS[1], 'phase', 'incarnation', 'generation', 'resends')
local knows = generation(meta[3], meta[2], ARGV[2])
local spent = tonumber(meta[4] or 0)
local phase = meta[1] or ''
local fenced = ARGV[4] == '1' and meta[2] ~= incarnation()
local answer = {phase, now_text, '', fenced and '1' or '0'}
local changed = false
local counts = {}
for at = 5, #ARGV, 13 do
  local index, expected, lane = ARGV[at], ARGV[at + 1], ARGV[at + 5]
  local not_after, witness, resends_max = ARGV[at + 8], ARGV[at + 9], ARGV[at + 10]
  local held = redis.call('HGET', KEYS[2], index)
  local verdict
  if not held then
    verdict = 'gone'
  elseif held ~= expected then
    verdict = '=' .. held
  elseif fenced then
    verdict = 'fenced'
  elseif phase ~= ARGV[3] then
    verdict = 'phase'
  elseif not_after ~= '' and now >= tonumber(not_after) then
    verdict = 'late'
  elseif resends_max ~= '' and spent >= tonumber(resends_max) then
    verdict = 'budget'
  else
    verdict = 'ok'
    changed = true
    local was, is = ARGV[at + 3], ARGV[at + 4]
    redis.call('HSET', KEYS[2], index, ARGV[at + 2])
    counts[was] = (counts[was] or 0) - 1
    counts[is] = (counts[is] or 0) + 1
    local due = KEYS[5] .. lane
    if ARGV[at + 12] ~= '' then redis.call('ZREM', KEYS[5] .. ARGV[at + 12], index) end
    if ARGV[at + 6] ~= '' then
      redis.call('ZADD', due, ARGV[at + 6], index)
    else
      redis.call('ZREM', due, index)
    end
    if ARGV[at + 7] ~= '' then
      redis.call('ZADD', KEYS[4], ARGV[at + 7], index)
    else
      redis.call('ZREM', KEYS[4], index)
    end
    attend(KEYS[7], index, was, is)
    if resends_max ~= '' then spent = redis.call('HINCRBY', KEYS[1], 'resends', 1) end
    if witness ~= '' then
      local seen = tonumber(redis.call('HGET', KEYS[6], lane) or 0)
      if tonumber(witness) > seen then redis.call('HSET', KEYS[6], lane, witness) end
      -- As Witness::see does it.
      local lag, slow = tonumber(ARGV[at + 11]), lane .. ':slow'
      if lag > 0 then
        local held = tonumber(redis.call('HGET', KEYS[6], slow) or 0)
        if lag < held then lag = held - math.floor((held - lag) / 32) end
        redis.call('HSET', KEYS[6], slow, string.format('%.0f', lag))
      end
    end
  end
  answer[#answer + 1] = verdict
end
for state, n in pairs(counts) do
  if n ~= 0 then redis.call('HINCRBY', KEYS[3], state, n) end
end
if changed then knows = redis.call('HINCRBY', KEYS[1], 'generation', 1) end
answer[3] = string.format('%.0f', knows)
return answer
