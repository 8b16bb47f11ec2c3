-- KEYS: docs, nodes. ARGV: the caller, ids of sessions that it has. Returns those of which nothing is known.
local unknown = {}
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
  else
    unknown[#unknown + 1] = ARGV[i]
  end
end
return unknown
