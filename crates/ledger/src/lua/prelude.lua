-- Stands before each script: the store's time, and which incarnation of the store this is.
-- ARGV[1] is empty, or a test's own time in microseconds since 1970.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local now_text = string.format('%.0f', now)
-- A server that restarted has another run id, one that was promoted another replication
-- id, so what it may have forgotten is asked for before anything is sent. Read here, they
-- cannot be out of date.
local ids
local function server_ids()
  if not ids then
    -- Several sections in one call since Redis 7.
    local info = redis.pcall('INFO', 'server', 'replication')
    if type(info) ~= 'string' then
      info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
    end
    local function after(name)
      local _, at = string.find(info, name, 1, true)
      return string.sub(info, at + 1, at + 40)
    end
    ids = after('run_id:') .. '-' .. after('master_replid:') .. '-'
  end
  return ids
end
-- The last key of each script is the store's mark, see store_mark.rs: a store that was emptied,
-- swapped or doubted is another one too, without any restart.
local function mark()
  local text = redis.call('GET', KEYS[#KEYS]) or ''
  local id, epoch = string.match(text, '^{"id":"([^"]*)","epoch":(%d+)')
  return (id or '') .. '.' .. (epoch or '0'), text
end
local function doubt()
  local _, text = mark()
  local epoch = string.match(text, '"epoch":(%d+)')
  local next = string.format('%.0f', math.max((tonumber(epoch) or 0) + 1, now))
  if epoch then
    text = string.gsub(text, '"epoch":%d+', '"epoch":' .. next, 1)
  else
    text = '{"id":"","epoch":' .. next .. ',"settled":false}'
  end
  redis.call('SET', KEYS[#KEYS], text)
end
local function incarnation()
  return server_ids() .. mark()
end
-- Ends that a person may want to look at: few, and listed by an index of their own.
local ATTENTION = {failed = 1, unknown = 1, suppressed = 1, expired = 1, cancelled = 1, quarantined = 1}
local function attend(key, index, was, is)
  if was == is then return end
  if ATTENTION[is] then
    redis.call('ZADD', key, index, index)
  elseif ATTENTION[was] then
    redis.call('ZREM', key, index)
  end
end
-- How much a run knows, given the 'generation' and 'incarnation' of its meta: grows with every
-- change, also over plans. A run that is open and knows less than the caller has seen of it was
-- put back: the store is doubted in this very step, before anything is granted.
local function generation(held, of, seen)
  local knows = tonumber(held or '') or 0
  if of and seen ~= '' and knows < tonumber(seen) and of == incarnation() then
    doubt()
  end
  return knows
end
