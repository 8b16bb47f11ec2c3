-- Publishes. KEYS[2] is the lane's record of its batch. ARGV: 2 where in its batches the lane is, ";<batch>.<index>:"; 3 "first" of
-- the batch, "next" or "again" where an answer may have been lost; 4 the publisher's id, or ""; 5 the type of a snapshot to retain, or "";
-- 6 the publication from its type on; 7 the fence, or nothing.
-- Answers a letter, the epoch and the number: p published, d a duplicate of it, r published at the first attempt; f: fenced off.
if ARGV[3] == 'again' then
  local record = call('GET', KEYS[2])
  local at = record and string.find(record, ARGV[2], 1, true)
  if at then
    call('PEXPIRE', KEYS[2], RECORD_TTL) -- a write, so that the WAIT after it covers the publication
    return 'r' .. epoch .. string.match(record, '^%d+', at + #ARGV[2])
  end
end
if ARGV[7] then
  local seen, fence = tonumber(call('HGET', metaKey, 'f') or 0) or 0, tonumber(ARGV[7])
  if seen > fence then return 'f' .. epoch .. string.format('%d', seen) end
  if seen < fence then call('HSET', metaKey, 'f', ARGV[7]) end
end

-- Numbers become text by %d where they go back to the server: what it does with them itself takes five times as long.
local format = string.format
local idsKey, id, counter, stale, oldest = tag .. ':i', ARGV[4], nil, nil, nil
if IDS_MAX > 0 and id ~= '' then
  counter = tonumber(meta[6] or 0) and meta[6] or '0'
  local known = call('HMGET', idsKey, '=' .. id, format('#%d', counter + 1 - IDS_MAX), '#' .. counter)
  if known[1] then
    local at, time, place = string.match(known[1], '^(%d+) (%d+) (%d+)$')
    if time and tonumber(time) > now - IDS_AGE then
      call('PEXPIRE', metaKey, META_TTL) -- a write, as above
      return 'd' .. epoch .. at
    end
    stale = place and '#' .. place
  end
  oldest = known[2]
  if not known[3] then extended = 0 end
end

local snapshotsKey, typed = tag .. ':s', ARGV[5] ~= '' and ARGV[5]
if typed then call('HEXISTS', snapshotsKey, typed) end -- refuses a key of the wrong type before anything is written
number = format('%d', number + 1)
local body = '{"v":2,"seq":' .. number .. ',"epoch":"' .. epoch .. '","at":' .. now .. ',' .. ARGV[6]
if HISTORY_MAX > 0 then
  local size = #body
  if size > HISTORY_BYTES then
    call('DEL', historyKey) -- so that what follows joins on without a hole
    bytes = 0
  else
    local kept = call('RPUSH', historyKey, body)
    if kept == 1 then bytes, extended = 0, 0 end
    bytes = bytes + size
    -- Some more than the class keeps are let stand, and go together: one command for many.
    while kept > 1 and (kept > HISTORY_MAX + SPARE or bytes > HISTORY_BYTES) do
      local gone = call('LPOP', historyKey, kept > HISTORY_MAX + 1 and math.min(kept - HISTORY_MAX, 64) or 1)
      kept = kept - #gone
      for _, entry in ipairs(gone) do bytes = bytes - #entry end
    end
  end
end
if typed and call('HSET', snapshotsKey, typed, body) == 1 then
  extended = 0
  if call('HLEN', snapshotsKey) > SNAPSHOTS_MAX then
    local all, least, which = call('HGETALL', snapshotsKey), math.huge, nil
    for i = 2, #all, 2 do
      local n = tonumber(string.match(all[i], NUMBER) or 0)
      if n < least then least, which = n, all[i - 1] end
    end
    call('HDEL', snapshotsKey, which)
  end
end
bytes = format('%d', bytes)
if counter then
  counter = format('%d', counter + 1)
  call('HSET', metaKey, 'n', number, 't', now, 'b', bytes, 'c', counter)
  if stale then call('HDEL', idsKey, stale) end
  if oldest == id then
    call('HDEL', idsKey, format('#%d', counter - IDS_MAX))
  elseif oldest then
    call('HDEL', idsKey, format('#%d', counter - IDS_MAX), '=' .. oldest)
  end
  call('HSET', idsKey, '=' .. id, number .. ' ' .. now .. ' ' .. counter, '#' .. counter, id)
else
  call('HSET', metaKey, 'n', number, 't', now, 'b', bytes)
end
local place = ARGV[2] .. number
if ARGV[3] == 'first' then
  call('SET', KEYS[2], place, 'PX', RECORD_TTL)
elseif call('APPEND', KEYS[2], place) == #place then
  call('PEXPIRE', KEYS[2], RECORD_TTL)
end
call(PUBLISH, string.sub(tag, 2, -2), body)
if PLAIN_COPY then call('PUBLISH', string.sub(tag, 2, -2), body) end
if now / 1000 - extended > STEP then
  @life
  extend()
  if HISTORY_MAX > 0 then
    local before = bytes
    expire()
    if bytes ~= before then call('HSET', metaKey, 'b', bytes) end
  end
end
return 'p' .. epoch .. number
