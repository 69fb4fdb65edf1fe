-- Sets the counters to a recount: by hand only, it reads every record in one step. Answers how
-- many were read.
-- KEYS records, counts, store mark · ARGV time
local counts, records = {}, redis.call('HGETALL', KEYS[1])
for at = 2, #records, 2 do
  local state = string.match(records[at], '"state":"([a-z_]+)"')
  if state then counts[state] = (counts[state] or 0) + 1 end
end
redis.call('UNLINK', KEYS[2])
for state, n in pairs(counts) do redis.call('HSET', KEYS[2], state, n) end
return #records / 2
