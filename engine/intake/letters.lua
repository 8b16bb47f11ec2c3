-- The dead letters of one channel. KEYS[1] is the stream of letters, KEYS[2] a hash with what changes about them:
--   bytes  what all letters take       s:<source>  the letter of that source, so that it becomes one letter only
--   a:<id> failures beyond the first   l:<id> the last one, ms     r: p: v: d: reason, plugin, version, done: of the last one
--   b:<id> <until ms>:<token> of who replays it
-- An entry's fields never change. ARGV[1..3] are the TTL in milliseconds, how many letters and how many bytes there may be.

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function fields(entry)
  local f = {}
  for i = 1, #entry[2], 2 do f[entry[2][i]] = entry[2][i + 1] end
  return f
end

local function find(id) return redis.call('XRANGE', KEYS[1], id, id)[1] end

-- number reads a field of the hash that counts something; what another program wrote there is as good as lost.
local function number(field)
  local n = tonumber(redis.call('HGET', KEYS[2], field) or 0)
  return n and n >= -2^53 and n <= 2^53 and n or 0
end

local function raise(field, by) redis.call('HSET', KEYS[2], field, string.format('%.0f', number(field) + by)) end

local function weight(f) return #(f.document or '') + #(f.reason or '') + 512 end

local function remove(entry)
  local id, f = entry[1], fields(entry)
  redis.call('XDEL', KEYS[1], id)
  redis.call('HDEL', KEYS[2], 'a:' .. id, 'l:' .. id, 'r:' .. id, 'p:' .. id, 'v:' .. id, 'd:' .. id, 'b:' .. id)
  if f.source and redis.call('HGET', KEYS[2], 's:' .. f.source) == id then redis.call('HDEL', KEYS[2], 's:' .. f.source) end
  raise('bytes', -weight(f))
end

-- trim removes the oldest letters until the others are within the limits, and says how many.
local function trim()
  local gone, old = 0, now() - ARGV[1]
  while true do
    local entry = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    if not entry then
      redis.call('DEL', KEYS[1], KEYS[2])
      return gone
    end
    if tonumber(string.match(entry[1], '^%d+')) >= old and redis.call('XLEN', KEYS[1]) <= tonumber(ARGV[2])
      and number('bytes') <= tonumber(ARGV[3]) then
      return gone
    end
    remove(entry)
    gone = gone + 1
  end
end

local function live()
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end

-- failed notes a failure. Empty texts are as they were.
local function failed(id, reason, plugin, version)
  raise('a:' .. id, 1)
  redis.call('HSET', KEYS[2], 'l:' .. id, string.format('%.0f', now()), 'r:' .. id, reason)
  if plugin ~= '' then redis.call('HSET', KEYS[2], 'p:' .. id, plugin, 'v:' .. id, version) end
end

local function busy(id)
  local held = redis.call('HGET', KEYS[2], 'b:' .. id)
  return held and tonumber(string.match(held, '^%d+') or 0) > now()
end

-- told makes a letter an answer: its id, then names and values; of the document the first bytes.
local function told(entry, most)
  local id, f = entry[1], fields(entry)
  local more = redis.call('HMGET', KEYS[2], 'a:' .. id, 'l:' .. id, 'r:' .. id, 'p:' .. id, 'v:' .. id, 'd:' .. id)
  f.failures, f.last, f.done = more[1], more[2], more[6]
  f.reason, f.plugin, f.version = more[3] or f.reason, more[4] or f.plugin, more[5] or f.version
  if most >= 0 and f.document then f.document = string.sub(f.document, 1, most) end
  local out = { id }
  for name, value in pairs(f) do
    if value then
      out[#out + 1] = name
      out[#out + 1] = value
    end
  end
  return out
end

-- add: ARGV[4] the source or nothing, ARGV[5..] names and values. Answers the letter's id, 1 if it is new, and how many are gone.
local function add()
  local given = {}
  for i = 5, #ARGV, 2 do given[ARGV[i]] = ARGV[i + 1] end
  if ARGV[4] ~= '' then
    local id = redis.call('HGET', KEYS[2], 's:' .. ARGV[4])
    local entry = id and find(id)
    if entry and fields(entry).document == given.document then
      failed(id, given.reason, given.plugin or '', given.version or '')
      live()
      return { id, 0, 0 }
    end
  end
  local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], 's:' .. ARGV[4], id) end
  raise('bytes', weight(given))
  local gone = trim()
  live()
  return { id, 1, gone }
end

-- each calls f with every letter from the newest on whose last failure was of a plugin, of any where that is empty.
local function each(plugin, f)
  local below = '+'
  while true do
    local part = redis.call('XREVRANGE', KEYS[1], below, '-', 'COUNT', 64)
    for _, entry in ipairs(part) do
      if plugin == '' or (redis.call('HGET', KEYS[2], 'p:' .. entry[1]) or fields(entry).plugin) == plugin then f(entry) end
    end
    if #part < 64 then return end
    below = '(' .. part[#part][1]
  end
end

-- list: ARGV[4] a plugin or nothing, ARGV[5] how many to tell, ARGV[6] how much of a document. Answers how many there are, what all
-- take, and the newest.
local function list()
  trim()
  local out, total, most = {}, 0, tonumber(ARGV[5])
  if ARGV[4] == '' then
    total = redis.call('XLEN', KEYS[1])
    if most > 0 then
      for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', most)) do
        out[#out + 1] = told(entry, tonumber(ARGV[6]))
      end
    end
  else
    each(ARGV[4], function(entry)
      total = total + 1
      if total <= most then out[total] = told(entry, tonumber(ARGV[6])) end
    end)
  end
  return { total, number('bytes'), out }
end

-- ids: ARGV[4] a plugin or nothing. Answers ids and failures beyond the first, by turns, the newest first.
local function ids()
  trim()
  local out = {}
  each(ARGV[4], function(entry)
    out[#out + 1] = entry[1]
    out[#out + 1] = redis.call('HGET', KEYS[2], 'a:' .. entry[1]) or '0'
  end)
  return out
end

-- one: ARGV[4] an id. Answers the letter, or nothing.
local function one()
  trim()
  local entry = find(ARGV[4])
  return entry and told(entry, -1)
end

-- begin: ARGV[4] an id, ARGV[5] a token, ARGV[6] how long in milliseconds. Answers the letter, 0 where somebody else replays it, or
-- nothing.
local function begin()
  trim()
  local entry = find(ARGV[4])
  if not entry then return false end
  if busy(ARGV[4]) then return 0 end
  redis.call('HSET', KEYS[2], 'b:' .. ARGV[4], string.format('%.0f:', now() + ARGV[6]) .. ARGV[5])
  live()
  return told(entry, -1)
end

-- finish: ARGV[4] an id, ARGV[5] the token, ARGV[6] 1 where the letter is none any more, else ARGV[7..10] reason, plugin, version,
-- done.
local function finish()
  local entry = find(ARGV[4])
  if not entry then return 0 end
  if ARGV[6] == '1' then
    remove(entry)
    trim()
    return 1
  end
  failed(ARGV[4], ARGV[7], ARGV[8], ARGV[9])
  if ARGV[10] ~= '' then redis.call('HSET', KEYS[2], 'd:' .. ARGV[4], ARGV[10]) end
  local held = redis.call('HGET', KEYS[2], 'b:' .. ARGV[4])
  if held and string.match(held, ':(.*)$') == ARGV[5] then redis.call('HDEL', KEYS[2], 'b:' .. ARGV[4]) end
  live()
  return 0
end

-- drop: ARGV[4] an id. Answers 1, 0 where somebody replays it, or nothing where it is not there.
local function drop()
  local entry = find(ARGV[4])
  if not entry then return false end
  if busy(ARGV[4]) then return 0 end
  remove(entry)
  trim()
  return 1
end

