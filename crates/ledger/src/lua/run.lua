-- Begins, reads or changes a run. Answers {created, phase, cursor, sealed_at, started_at,
-- until, resends, fenced, header, begun_at, now, generation}; phase is false when there is no such run.
-- KEYS meta, store mark · ARGV time, generation that was seen ('' for none), operation, value
--   begin <header>       insert if absent
--   read
--   seal <total>         planning -> open, when the cursor has reached the total
--   start                note the first sender
--   phase <name>
--   reopen <until>       a run that is over goes on until then
--   lift <incarnation>   sends may go on under it, if it still is the store's
local op, value = ARGV[3], ARGV[4]
local seen = redis.call('HMGET', KEYS[1], 'generation', 'incarnation')
local knows = generation(seen[1], seen[2], ARGV[2])
local created = 0
local function get(field) return redis.call('HGET', KEYS[1], field) end
local function set(...) redis.call('HSET', KEYS[1], ...) end
if op == 'begin' and redis.call('EXISTS', KEYS[1]) == 0 then
  set('header', value, 'phase', 'planning', 'cursor', 0, 'incarnation', incarnation(),
    'begun_at', now_text, 'generation', now_text)
  knows = now
  created = 1
  local _, text = mark()
  if not string.find(text, '"settled":true', 1, true) then
    -- Nobody vouches for this store yet: whoever has merged merges once more, for this run.
    doubt()
    set('incarnation', '')
  end
elseif redis.call('EXISTS', KEYS[1]) == 1 then
  if op == 'seal' and get('phase') == 'planning' and get('cursor') == value then
    set('phase', 'open', 'sealed_at', now_text)
  elseif op == 'start' then
    redis.call('HSETNX', KEYS[1], 'started_at', now_text)
  elseif op == 'phase' then
    set('phase', value)
  elseif op == 'reopen' then
    if get('phase') ~= 'paused' then set('phase', 'open') end
    set('until', value)
  elseif op == 'lift' and incarnation() == value then
    set('incarnation', value)
  end
end
local row = redis.call('HMGET', KEYS[1], 'phase', 'cursor', 'sealed_at', 'started_at', 'until',
  'resends', 'incarnation', 'header', 'begun_at')
local fenced = 0
if row[7] ~= incarnation() then fenced = 1 end
return {created, row[1], row[2], row[3], row[4], row[5], row[6], fenced, row[8], row[9] or '',
  now_text, string.format('%.0f', knows)}
