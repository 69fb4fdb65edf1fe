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
local function id_after(section, name)
  local info = redis.call('INFO', section)
  local _, at = string.find(info, name, 1, true)
  return string.sub(info, at + 1, at + 40)
end
-- The last key of each script is the store's mark, see store_mark.rs: a store that was emptied,
-- swapped or doubted is another one too, without any restart.
local function mark()
  local text = redis.call('GET', KEYS[#KEYS]) or ''
  local id, epoch = string.match(text, '"id":"([^"]*)"'), string.match(text, '"epoch":(%d+)')
  return (id or '') .. '.' .. (epoch or '0'), text
end
local function incarnation()
  return id_after('server', 'run_id:') .. '-' .. id_after('replication', 'master_replid:') .. '-' .. mark()
end
