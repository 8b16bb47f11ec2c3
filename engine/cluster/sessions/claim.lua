-- KEYS: live (hash symbol -> node, owner and session, with spaces between). ARGV: nodes that are dead, with spaces between; node and owner; node,
-- owner and session; symbols. Returns who has one of them for another owner, or '' where all of them are the session's now.
local dead = {}
for node in string.gmatch(ARGV[1], '%S+') do dead[node] = true end
local owner = string.match(ARGV[2], ' (.*)$')
for i = 4, #ARGV do
  local holder = redis.call('HGET', KEYS[1], ARGV[i])
  if holder then
    local node, of = string.match(holder, '^(%S+) (%S+)')
    if node and of ~= owner and not dead[node] then return holder end
  end
end
for i = 4, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], ARGV[3]) end
return ''
