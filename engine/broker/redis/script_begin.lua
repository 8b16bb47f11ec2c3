-- Every script begins so. The constants before this line are those of the topic's class.
-- KEYS[1] is {wse:<topic>}:m, whose tag begins the names of all keys of the topic; ARGV[1] is the replication id of the server.
local tag = string.sub(KEYS[1], 1, -3)
local metaKey, historyKey = KEYS[1], tag .. ':h'
local clock = redis.call('TIME')
local now = clock[1] .. string.format('%06d', clock[2]) -- µs
local meta = redis.call('HMGET', metaKey, 'e', 'n', 'r', 'b', 'c', 'x', 'f', 't')
local epoch, number, bytes, extended = meta[1], meta[2], tonumber(meta[4]) or 0, tonumber(meta[6]) or 0
if meta[3] ~= ARGV[1] or not epoch or not number then
  -- The server is another one than last time, or the topic is new. Numbers go on where they are known. The first write of all is
  -- one that a server without memory or in the wrong role refuses, so that a script is carried out whole or not at all.
  local fresh = string.sub(redis.sha1hex(tag .. ARGV[1] .. now), 1, 8)
  if fresh == '00000000' or fresh == epoch then fresh = string.sub(redis.sha1hex(tag .. now), 33, 39) .. '1' end
  redis.call('HSET', metaKey, 'e', fresh, 'n', number or '0', 'r', ARGV[1])
  if not number or not epoch then
    redis.call('DEL', historyKey, tag .. ':s', tag .. ':i')
    number, bytes = '0', 0
    redis.call('HSET', metaKey, 'n', '0', 'b', '0')
  end
  epoch, extended = fresh, 0
end

-- extend lets the keys live on. It is done every STEP, and each key gets a STEP more than it needs.
local function extend()
  redis.call('HSET', metaKey, 'x', string.sub(now, 1, -4))
  redis.call('PEXPIRE', metaKey, META_TTL)
  if HISTORY_MAX > 0 then redis.call('PEXPIRE', historyKey, HISTORY_TTL) end
  if SNAPSHOTS_MAX > 0 then redis.call('PEXPIRE', tag .. ':s', META_TTL) end
  if IDS_MAX > 0 then redis.call('PEXPIRE', tag .. ':i', IDS_TTL) end
end

-- expire drops what is older than the class keeps it.
local function expire()
  local before, old = now - HISTORY_AGE, redis.call('LINDEX', historyKey, 0)
  while old and tonumber(string.match(old, AT)) <= before do
    local some, gone = redis.call('LRANGE', historyKey, 0, 63), 0
    for _, entry in ipairs(some) do
      if tonumber(string.match(entry, AT)) > before then break end
      gone, bytes = gone + 1, bytes - #entry
    end
    redis.call('LTRIM', historyKey, gone, -1)
    old = redis.call('LINDEX', historyKey, 0)
  end
end
