-- KEYS: a document. ARGV: what must be there ('': nothing), what is to be ('': nothing), for how long in ms.
-- Returns: 1 where that is there now, and INFO replication. It is written again where it was there already: WAIT waits for what the
-- connection wrote.
local is = redis.call('GET', KEYS[1]) or ''
if is ~= ARGV[1] and is ~= ARGV[2] then return {0, ''} end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return {1, redis.call('INFO', 'replication')}
