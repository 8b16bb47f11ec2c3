-- KEYS: docs, nodes, a zset of ids by creation. ARGV: how many at most. Returns for each its id, node and document, the newest first. Ids
-- of which nothing is known any more are dropped from the zset.
local most, at, out = tonumber(ARGV[1]), 0, {}
while #out < 3 * most do
  local ids = redis.call('ZREVRANGE', KEYS[3], at, at + most - 1)
  if #ids == 0 then break end
  local stale = 0
  for _, id in ipairs(ids) do
    local doc = redis.call('HGET', KEYS[1], id)
    if not doc then
      redis.call('ZREM', KEYS[3], id)
      stale = stale + 1
    elseif #out < 3 * most then
      out[#out + 1] = id
      out[#out + 1] = redis.call('HGET', KEYS[2], id) or ''
      out[#out + 1] = doc
    end
  end
  at = at + #ids - stale
end
return out
