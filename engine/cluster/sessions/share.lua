-- KEYS: docs (hash id -> JSON), nodes (hash id -> who has it), all (zset id -> ms of creation), then of each owner the like, and his home.
-- ARGV: the caller, how many there may be, how long a home is kept in ms, then for each session its id, when it was created, the place of
-- its owner's first key, and its document; '' for one that is gone. Only who has a session can forget it.
local node, most = ARGV[1], tonumber(ARGV[2])
for i = 4, #ARGV, 4 do
  local id, created, doc = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local of, home = KEYS[tonumber(ARGV[i + 2])], KEYS[tonumber(ARGV[i + 2]) + 1]
  if doc ~= '' then
    redis.call('HSET', KEYS[1], id, doc)
    redis.call('HSET', KEYS[2], id, node)
    redis.call('ZADD', KEYS[3], created, id)
    if redis.call('ZADD', of, created, id) == 1 then -- of the surplus of before the oldest two go with each that is new
      for _, old in ipairs(redis.call('ZRANGE', of, 0, 1)) do
        if redis.call('HEXISTS', KEYS[1], old) == 0 then redis.call('ZREM', of, old) end
      end
    end
    -- A home stands for as long as a session there goes on.
    if redis.call('GET', home) == node then redis.call('PEXPIRE', home, ARGV[3]) end
  elseif redis.call('HGET', KEYS[2], id) == node then
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('ZREM', KEYS[3], id)
    redis.call('ZREM', of, id)
  end
end
local surplus = redis.call('ZCARD', KEYS[3]) - most
if surplus > 0 then
  local gone = redis.call('ZPOPMIN', KEYS[3], surplus)
  for i = 1, #gone, 2 do
    redis.call('HDEL', KEYS[1], gone[i])
    redis.call('HDEL', KEYS[2], gone[i])
  end
end
return 1
