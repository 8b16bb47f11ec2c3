-- KEYS as in beat.lua. ARGV: timeout µs. Returns pairs: the info of one who lives, and the age of its last beat in ms; by id.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local timeout = tonumber(ARGV[1])
local state = redis.call('HMGET', KEYS[4], 'last', 'since')
local last, since = tonumber(state[1] or '0'), tonumber(state[2] or '0')
if now < last or now - last > timeout / 2 then since = now end
local oldest = '-inf'
if since < now - timeout then oldest = string.format('%.0f', now - timeout) end
local ids, beats = {}, redis.call('ZRANGEBYSCORE', KEYS[1], oldest, '+inf', 'WITHSCORES')
local ages = {}
for i = 1, #beats, 2 do
  ids[#ids + 1] = beats[i]
  ages[beats[i]] = string.format('%.0f', math.max(0, math.floor((now - tonumber(beats[i + 1])) / 1000)))
end
table.sort(ids)
local out = {}
for _, id in ipairs(ids) do
  local info = redis.call('HGET', KEYS[2], id)
  if info then
    out[#out + 1] = info
    out[#out + 1] = ages[id]
  end
end
return out
