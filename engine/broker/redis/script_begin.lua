-- Every script begins so. The constants before this line are those of the topic's class.
-- KEYS[1] is {wse:<topic>}:m, whose tag begins the names of all keys of the topic; ARGV[1] is the replication id of the server.
local tag = string.sub(KEYS[1], 1, -3)
local metaKey, historyKey = KEYS[1], tag .. ':h'
local call = redis.call
local clock = call('TIME')
local now = clock[1] .. string.format('%06d', clock[2]) -- µs
local meta = call('HMGET', metaKey, 'e', 'n', 'r', 'b', 'x', 'c')
local epoch, number, bytes, extended = meta[1], meta[2], tonumber(meta[4] or 0) or 0, tonumber(meta[5] or 0) or 0
-- What another program wrote over is as good as lost.
if epoch and (#epoch ~= 8 or epoch == '00000000' or not string.find(epoch, '^%x+$')) then epoch = false end
if number and (#number > 15 or not string.find(number, '^%d+$')) then number = false end
if meta[3] ~= ARGV[1] or not epoch or not number then
  -- The server is another one than last time, or the topic is new. Numbers go on where they are known. The first write of all is
  -- one that a server without memory or in the wrong role refuses, so that a script is carried out whole or not at all.
  local fresh = string.sub(redis.sha1hex(tag .. ARGV[1] .. now), 1, 8)
  if fresh == '00000000' or fresh == epoch then fresh = string.sub(redis.sha1hex(tag .. now), 33, 39) .. '1' end
  call('HSET', metaKey, 'e', fresh, 'n', number or '0', 'r', ARGV[1])
  if not number or not epoch then
    call('DEL', historyKey, tag .. ':s', tag .. ':i')
    number, bytes = '0', 0
    call('HSET', metaKey, 'n', '0', 'b', '0')
  end
  epoch, extended = fresh, 0
end
