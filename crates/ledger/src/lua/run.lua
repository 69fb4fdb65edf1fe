-- Begins, reads or changes a run. Answers {created, phase, cursor, sealed_at, started_at,
-- until, resends, fenced, header, begun_at, now, generation, rows_doubted_at}; phase is false when
-- there is no such run.
-- KEYS meta, store mark · ARGV time, generation that was seen ('' for none), operation, value
--   begin <header> <phase> <opens>   insert if absent; one that is open at once is rolling
--   read
--   seal <total>         planning -> open, when the cursor has reached the total
--   start                note the first sender
--   phase <name>
--   reopen <until>       a run that is over goes on until then
--   lift <incarnation>   sends may go on under it, if it still is the store's
--   doubt_rows           rows that were asked for before may have been sent
--   lanes <header> <expected>   lanes were added, if the header still is as expected
local op, value, extra = ARGV[3], ARGV[4], ARGV[5]
local seen = redis.call('HMGET', KEYS[1], 'generation', 'incarnation')
local knows = generation(seen[1], seen[2], ARGV[2])
local created = 0
local function get(field) return redis.call('HGET', KEYS[1], field) end
local function set(...) redis.call('HSET', KEYS[1], ...) end
if op == 'begin' and redis.call('EXISTS', KEYS[1]) == 0 then
  set('header', value, 'phase', extra, 'cursor', 0, 'incarnation', incarnation(),
    'begun_at', now_text, 'generation', now_text, 'attention', 1)
  knows = now
  created = 1
  local _, text = mark()
  local epoch, opens = tonumber(string.match(text, '"epoch":(%d+)') or 0), tonumber(ARGV[6])
  local forgotten = epoch > opens or not string.find(text, '"settled":true', 1, true)
  if extra == 'open' then set('sealed_at', now_text) end
  if extra == 'open' and forgotten and now > opens then set('rows_doubted_at', now_text) end
  if forgotten then
    -- Nobody vouches for this store, or it was doubted since the run's window opened: the run may
    -- have been here before. Whoever has merged merges once more, for this run.
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
  elseif op == 'doubt_rows' then
    set('rows_doubted_at', now_text)
  elseif op == 'lanes' and get('header') == extra then
    set('header', value)
  end
end
local row = redis.call('HMGET', KEYS[1], 'phase', 'cursor', 'sealed_at', 'started_at', 'until',
  'resends', 'incarnation', 'header', 'begun_at', 'rows_doubted_at')
local fenced = 0
if row[7] ~= incarnation() then fenced = 1 end
return {created, row[1], row[2], row[3], row[4], row[5], row[6], fenced, row[8], row[9] or '',
  now_text, string.format('%.0f', knows), row[10]}
