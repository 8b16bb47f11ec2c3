-- Publishes. KEYS[2] is the lane's record of its batch. ARGV: 2 where in its batches the lane is, ";<batch>.<index>:"; 3 "first" of
-- the batch, "next" or "again" where an answer may have been lost; 4 the publisher's id, or ""; 5 the type of a snapshot to retain, or "";
-- 6 the publication from its type on; 7 the fence, or nothing.
-- Answers a letter, the epoch and the number: p published, d a duplicate of it, r published at the first attempt; f: fenced off.
if ARGV[3] == 'again' then
  local record = redis.call('GET', KEYS[2])
  local at = record and string.find(record, ARGV[2], 1, true)
  if at then
    redis.call('PEXPIRE', KEYS[2], RECORD_TTL) -- a write, so that the WAIT after it covers the publication
    return 'r' .. epoch .. string.match(record, '^%d+', at + #ARGV[2])
  end
end
if ARGV[7] then
  local seen = tonumber(meta[7])
  if seen and seen > tonumber(ARGV[7]) then return 'f' .. epoch .. meta[7] end
  if not seen or seen < tonumber(ARGV[7]) then redis.call('HSET', metaKey, 'f', ARGV[7]) end
end

local idsKey, id, counter, stale, oldest = tag .. ':i', ARGV[4], meta[5] or 0, nil, nil
if IDS_MAX > 0 and id ~= '' then
  local known = redis.call('HMGET', idsKey, '=' .. id, '#' .. counter + 1 - IDS_MAX, '#' .. counter)
  if known[1] then
    local at, time, place = string.match(known[1], '^(%d+) (%d+) (%d+)$')
    if tonumber(time) > now - IDS_AGE then
      redis.call('PEXPIRE', metaKey, META_TTL) -- a write, as above
      return 'd' .. epoch .. at
    end
    stale = '#' .. place
  end
  oldest = known[2]
  if not known[3] then extended = 0 end
end

local snapshotsKey, typed = tag .. ':s', ARGV[5] ~= '' and ARGV[5]
if typed then redis.call('HEXISTS', snapshotsKey, typed) end -- refuses a key of the wrong type before anything is written
number = string.format('%.0f', number + 1)
local body = '{"v":2,"seq":' .. number .. ',"epoch":"' .. epoch .. '","at":' .. now .. ',' .. ARGV[6]
if HISTORY_MAX > 0 then
  local size = #body
  if size > HISTORY_BYTES then
    redis.call('DEL', historyKey) -- so that what follows joins on without a hole
    bytes = 0
  else
    local kept = redis.call('RPUSH', historyKey, body)
    if kept == 1 then bytes, extended = 0, 0 end
    bytes = bytes + size
    while kept > 1 and (kept > HISTORY_MAX or bytes > HISTORY_BYTES) do
      bytes, kept = bytes - #redis.call('LPOP', historyKey), kept - 1
    end
  end
end
if typed and redis.call('HSET', snapshotsKey, typed, body) == 1 then
  extended = 0
  if redis.call('HLEN', snapshotsKey) > SNAPSHOTS_MAX then
    local all, least, which = redis.call('HGETALL', snapshotsKey), math.huge, nil
    for i = 2, #all, 2 do
      local n = tonumber(string.match(all[i], NUMBER))
      if n < least then least, which = n, all[i - 1] end
    end
    redis.call('HDEL', snapshotsKey, which)
  end
end
if IDS_MAX > 0 and id ~= '' then
  counter = counter + 1
  redis.call('HSET', metaKey, 'n', number, 't', now, 'b', bytes, 'c', counter)
  if stale then redis.call('HDEL', idsKey, stale) end
  if oldest == id then
    redis.call('HDEL', idsKey, '#' .. counter - IDS_MAX)
  elseif oldest then
    redis.call('HDEL', idsKey, '#' .. counter - IDS_MAX, '=' .. oldest)
  end
  redis.call('HSET', idsKey, '=' .. id, number .. ' ' .. now .. ' ' .. counter, '#' .. counter, id)
else
  redis.call('HSET', metaKey, 'n', number, 't', now, 'b', bytes)
end
local place = ARGV[2] .. number
if ARGV[3] == 'first' then
  redis.call('SET', KEYS[2], place, 'PX', RECORD_TTL)
elseif redis.call('APPEND', KEYS[2], place) == #place then
  redis.call('PEXPIRE', KEYS[2], RECORD_TTL)
end
redis.call(PUBLISH, string.sub(tag, 2, -2), body)
if PLAIN_COPY then redis.call('PUBLISH', string.sub(tag, 2, -2), body) end
if now / 1000 - extended > STEP then
  extend()
  if HISTORY_MAX > 0 then
    local before = bytes
    expire()
    if bytes ~= before then redis.call('HSET', metaKey, 'b', bytes) end
  end
end
return 'p' .. epoch .. number
