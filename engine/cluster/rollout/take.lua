-- Takes the lease of a change over from a coordinator that is dead. Should it come to life, its commit is refused.
-- KEYS: the lease
-- ARGV: the value that it had, the one that it is to have, milliseconds
-- returns 1, or 0 where it has another value by now
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
