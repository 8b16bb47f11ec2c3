-- KEYS: beats (zset id -> µs of its last beat), info (hash id -> JSON), dead (zset id -> µs of death), state (hash).
-- ARGV: id, its info, timeout µs, how long deaths are kept µs, the latest death the caller knows, deaths at most, 1: list who lives,
-- the stamp of the last answer the caller got.
-- Returns: 1 where the caller was dead or unknown since that stamp, the latest death, how many live, deaths since the one known, the ids
-- who live, the stamp of this answer. What an answer tells is told again as long as none arrives.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local id, timeout, kept = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[4], 'last', 'since', 'died', 'back:' .. id)
local last, since, died = tonumber(state[1] or '0'), tonumber(state[2] or '0'), tonumber(state[3] or '0')
local back, stamp = tonumber(state[4] or '0'), tonumber(ARGV[8]) -- back: when the caller last came back from the dead
local function text(n) return string.format('%.0f', n) end

-- Time during which nobody could beat is held against nobody. 'since' is when the present spell without such a hole began.
if now < last then -- the clock was set back: beats of the future are of now
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now), '+inf')) do
    redis.call('ZADD', KEYS[1], text(now), other)
  end
  since = now
elseif now - last > timeout / 2 then
  since = now
end

local mine = tonumber(redis.call('ZSCORE', KEYS[1], id) or '0')
if redis.call('ZREM', KEYS[3], id) == 1 or mine == 0 or math.max(mine, since) < now - timeout then
  back = math.max(now, stamp + 1)
  redis.call('HSET', KEYS[4], 'back:' .. id, text(back))
end
redis.call('ZADD', KEYS[1], text(now), id)
redis.call('HSET', KEYS[2], id, ARGV[2])

if since < now - timeout then
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. text(now - timeout))) do
    died = math.max(now, died + 1)
    redis.call('ZREM', KEYS[1], other)
    redis.call('HDEL', KEYS[2], other)
    redis.call('HDEL', KEYS[4], 'back:' .. other)
    redis.call('ZADD', KEYS[3], text(died), other)
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - kept))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[6]))
redis.call('HSET', KEYS[4], 'last', text(now), 'since', text(since), 'died', text(died))
for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], text(kept / 1000)) end

local known = tonumber(ARGV[5])
if known > died then known = 0 end -- Redis has forgotten deaths
local alive = {}
if ARGV[7] == '1' then alive = redis.call('ZRANGE', KEYS[1], 0, -1) end
local deaths = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. text(known), '+inf')
return {back > stamp and 1 or 0, text(died), redis.call('ZCARD', KEYS[1]), deaths, alive, text(math.max(now, back))}
