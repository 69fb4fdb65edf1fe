-- Sets the counters to a recount: by hand only, it reads every record in one step. Answers how
-- many were read.
-- KEYS records, counts, store mark · ARGV time, names of the states in the order of their numbers
local counts, records = {}, redis.call('HGETALL', KEYS[1])
for at = 2, #records, 2 do
  local record, state = records[at], nil
  if string.byte(record, 1) ~= 123 then
    state = ARGV[2 + (string.byte(record, 3) or 255)]
  else
    state = string.match(record, '"state":"([a-z_]+)"') -- of an earlier version
  end
  if state then counts[state] = (counts[state] or 0) + 1 end
end
redis.call('UNLINK', KEYS[2])
for state, n in pairs(counts) do redis.call('HSET', KEYS[2], state, n) end
return #records / 2
