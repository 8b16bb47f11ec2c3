-- Ends the lease of a change.
-- KEYS: the lease
-- ARGV: its value
-- returns 1, or 0 where it is somebody else's
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
