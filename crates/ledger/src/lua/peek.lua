-- What a lane has due: {phase, now, next due or '', (index, record, message)*}. Changes
-- nothing; the claim itself is a compare-and-set.
-- KEYS meta, due, records, messages · ARGV how many
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local phase = redis.call('HGET', KEYS[1], 'phase') or ''
local answer = {phase, string.format('%.0f', now), ''}
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then answer[3] = string.format('%.0f', first[2]) end
if phase ~= 'open' then return answer end
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, index in ipairs(due) do
  answer[#answer + 1] = index
  answer[#answer + 1] = redis.call('HGET', KEYS[3], index) or ''
  answer[#answer + 1] = redis.call('HGET', KEYS[4], index) or ''
end
return answer
