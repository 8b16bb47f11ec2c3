-- KEYS: live. ARGV: node and owner; node, owner and session; symbols. Those are given up that are the session's still.
for i = 3, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 1
