-- Puts the bytes of a candidate where nodes find them, for as long as the lease runs; those that are there stay as they are.
-- KEYS: the lease, then blobs
-- ARGV: the lease's value, its milliseconds, then the bytes of each blob
-- returns 1, or 0 where the lease is somebody else's
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[2])
  elseif redis.call('PTTL', KEYS[i]) > 0 then
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
  end
end
return 1
