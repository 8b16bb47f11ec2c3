-- KEYS: since when nothing is lost, documents. Returns the Unix time in seconds, and the documents, nil for those that are not there.
local since = redis.call('GET', KEYS[1])
if not since then
  since = redis.call('TIME')[1]
  redis.call('SET', KEYS[1], since)
end
local out = {since}
for i = 2, #KEYS do out[i] = redis.call('GET', KEYS[i]) end
return out
