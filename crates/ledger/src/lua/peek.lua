-- What a lane has due: {phase, now, fenced, until or '', next due or '', (index, record,
-- message)*}. Changes nothing; the claim itself is a compare-and-set.
-- KEYS meta, due, records, messages · ARGV time, how many
local meta = redis.call('HMGET', KEYS[1], 'phase', 'incarnation', 'until')
local fenced = '0'
if meta[2] ~= incarnation() then fenced = '1' end
local answer = {meta[1] or '', now_text, fenced, meta[3] or '', ''}
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then answer[5] = string.format('%.0f', first[2]) end
if meta[1] ~= 'open' or fenced == '1' then return answer end
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, index in ipairs(due) do
  answer[#answer + 1] = index
  answer[#answer + 1] = redis.call('HGET', KEYS[3], index) or ''
  answer[#answer + 1] = redis.call('HGET', KEYS[4], index) or ''
end
return answer
