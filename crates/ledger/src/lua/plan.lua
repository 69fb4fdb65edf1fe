-- Inserts planned deliveries and moves the cursor, in one step. Answers the cursor.
-- KEYS meta, records, messages, bodies, counts, look, due-prefix, attention
-- ARGV time, from, body count, (hash, body)*, then per row: record, message, state, lane, due, look
--   (due or look is a score, the other one is empty), and last the header that the plan is of
--   (a run that was discarded and planned anew has another one: -1 is answered)
local held = redis.call('HMGET', KEYS[1], 'cursor', 'phase', 'header')
local cursor = tonumber(held[1])
if not cursor or held[3] ~= ARGV[#ARGV] then return -1 end
if held[2] ~= 'planning' then return cursor end
local from, bodies = tonumber(ARGV[2]), tonumber(ARGV[3])
local at = 4
for _ = 1, bodies do
  redis.call('HSETNX', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
local index = from
-- Gathered, so that a chunk is a few commands and not a few for each row. Lua unpacks less
-- than 8,000 values, so a chunk may have 3,900 rows; more fail here, before any is written.
local records, messages, counts, sets = {}, {}, {}, {}
local function push(list, a, b)
  list[#list + 1] = a
  list[#list + 1] = b
end
while at < #ARGV do
  if index >= cursor then
    push(records, index, ARGV[at])
    push(messages, index, ARGV[at + 1])
    local state, set, score = ARGV[at + 2], nil, nil
    counts[state] = (counts[state] or 0) + 1
    if ATTENTION[state] then
      set, score = KEYS[8], index
    elseif ARGV[at + 4] ~= '' then
      set, score = KEYS[7] .. ARGV[at + 3], ARGV[at + 4]
    elseif ARGV[at + 5] ~= '' then
      set, score = KEYS[6], ARGV[at + 5]
    end
    if set then
      sets[set] = sets[set] or {}
      push(sets[set], score, index)
    end
  end
  index = index + 1
  at = at + 6
end
if #records > 0 then
  redis.call('HSET', KEYS[2], unpack(records))
  redis.call('HSET', KEYS[3], unpack(messages))
end
for state, n in pairs(counts) do redis.call('HINCRBY', KEYS[5], state, n) end
for set, scores in pairs(sets) do redis.call('ZADD', set, unpack(scores)) end
if index > cursor then
  cursor = index
  redis.call('HSET', KEYS[1], 'cursor', cursor)
end
return cursor
