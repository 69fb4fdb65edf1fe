-- Sets the counters to a recount: by hand only, it reads every record in one step. Answers how
-- many were read.
-- KEYS records, counts, store mark · ARGV time
local counts, n = {}, 0
for _, record in ipairs(redis.call('HVALS', KEYS[1])) do
  local state = string.match(record, '"state":"([a-z_]+)"')
  if state then counts[state] = (counts[state] or 0) + 1 end
  n = n + 1
end
redis.call('DEL', KEYS[2])
for state, count in pairs(counts) do redis.call('HSET', KEYS[2], state, count) end
return n
