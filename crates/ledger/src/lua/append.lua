-- Adds rows to a rolling run, each with its key in this step. Answers {now, generation, fenced, per
-- row: 'added' | 'same' | 'other' | 'forgotten' | 'refused' | 'over' | 'fenced', index or ''}.
-- Of a row that is 'forgotten' only news is known: its message is here now, and its record still
-- says so, until the caller replaces it.
-- KEYS meta, records, messages, bodies, counts, look, due-prefix, keys, people, indexes, store mark
-- ARGV time, generation that was seen ('' for none), until when the run takes rows, per row: key, '1' when it must be refused, record, message, lane, due,
--   look, body hash, body, hashes of the person, each with a comma after it, index, state
local meta = redis.call('HMGET', KEYS[1], 'phase', 'incarnation', 'generation', 'cursor')
local knows = generation(meta[3], meta[2], ARGV[2])
local phase, cursor = meta[1] or '', tonumber(meta[4] or 0)
local fenced = meta[2] ~= incarnation()
local over = (phase ~= 'open' and phase ~= 'paused') or now >= tonumber(ARGV[3])
local answer, changed = {now_text, '', fenced and '1' or '0'}, false
-- By the flag in its head, see stored.rs.
local function is_forgotten(record)
  return string.byte(record, 1) ~= 123 and (string.byte(record, 2) or 0) % 2 == 1
end
-- Its own index, or the first one after it that no other row has. A row without a message is one of
-- which only news is known, also when its record cannot be read any more.
local function place(index)
  while true do
    local text = string.format('%.0f', index)
    if not redis.call('HGET', KEYS[2], text) then return text, false end
    if not redis.call('HGET', KEYS[3], text) then return text, true end
    index = (index + 1) % 4294967296
  end
end
local function put(at, index)
  redis.call('HSET', KEYS[3], index, ARGV[at + 3])
  redis.call('HSETNX', KEYS[4], ARGV[at + 7], ARGV[at + 8])
  redis.call('HSET', KEYS[8], ARGV[at], index)
  for person in string.gmatch(ARGV[at + 9], '([^,]+),') do
    local held = redis.call('HGET', KEYS[9], person) or ''
    redis.call('HSET', KEYS[9], person, held .. index .. ',')
  end
  changed = true
end
for at = 4, #ARGV, 12 do
  local index, verdict = redis.call('HGET', KEYS[8], ARGV[at]), nil
  if index then
    local same = redis.call('HGET', KEYS[3], index) == ARGV[at + 3]
    local held = redis.call('HGET', KEYS[2], index)
    local forgotten = held and is_forgotten(held)
    verdict = not same and 'other' or forgotten and 'forgotten' or 'same'
  elseif ARGV[at + 1] == '1' then
    verdict = 'refused'
  elseif over then
    verdict = 'over'
  elseif fenced then
    verdict = 'fenced'
  else
    local forgotten
    index, forgotten = place(tonumber(ARGV[at + 10]))
    verdict = forgotten and 'forgotten' or 'added'
    put(at, index)
    if not forgotten then
      redis.call('HSET', KEYS[2], index, ARGV[at + 2])
      redis.call('HINCRBY', KEYS[5], ARGV[at + 11], 1)
      if ARGV[at + 6] ~= '' then redis.call('ZADD', KEYS[6], ARGV[at + 6], index) end
      if ARGV[at + 5] ~= '' then redis.call('ZADD', KEYS[7] .. ARGV[at + 4], ARGV[at + 5], index) end
      redis.call('ZADD', KEYS[10], index, index)
      cursor = cursor + 1
    end
  end
  answer[#answer + 1] = verdict
  answer[#answer + 1] = index or ''
end
if changed then
  redis.call('HSET', KEYS[1], 'cursor', string.format('%.0f', cursor))
  knows = redis.call('HINCRBY', KEYS[1], 'generation', 1)
end
answer[2] = string.format('%.0f', knows)
return answer
