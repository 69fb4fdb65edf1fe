-- What a lane has due: {phase, now, fenced, until or '', when the first of the rest is due or
-- '', begun_at or '', generation, (index, due, record, message)*}. Changes nothing of the run; the
-- claim is a compare-and-set.
-- KEYS meta, due, records, messages, store mark · ARGV time, generation that was seen ('' for
-- none), how many
local meta = redis.call('HMGET', KEYS[1], 'phase', 'incarnation', 'until', 'begun_at', 'generation')
local knows = generation(meta[5], meta[2], ARGV[2])
local fenced = '0'
if meta[2] ~= incarnation() then fenced = '1' end
local answer = {meta[1] or '', now_text, fenced, meta[3] or '', '', meta[4] or '',
  string.format('%.0f', knows)}
if meta[1] ~= 'open' or fenced == '1' then return answer end
local most = tonumber(ARGV[3])
local due = redis.call('ZRANGE', KEYS[2], 0, most, 'WITHSCORES')
for at = 1, #due, 2 do
  local index, at_text = due[at], string.format('%.0f', due[at + 1])
  if at > 2 * most or tonumber(due[at + 1]) > now then
    answer[5] = at_text
    break
  end
  answer[#answer + 1] = index
  answer[#answer + 1] = at_text
  answer[#answer + 1] = redis.call('HGET', KEYS[3], index) or ''
  answer[#answer + 1] = redis.call('HGET', KEYS[4], index) or ''
end
return answer
