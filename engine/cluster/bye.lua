-- KEYS as in beat.lua. ARGV: id, of a node that leaves. Others hear of it with their next beats.
local t = redis.call('TIME')
local died = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('HGET', KEYS[4], 'died') or '0') + 1)
local text = string.format('%.0f', died)
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[4], 'back:' .. ARGV[1])
redis.call('ZADD', KEYS[3], text, ARGV[1])
redis.call('HSET', KEYS[4], 'died', text)
return 1
