-- Makes a change the cluster's, if the lease is still the coordinator's. It may be called again.
-- KEYS: the hash of records, the lease, blobs: ARGV[6] that are wanted, then up to ARGV[7] of them those of versions before, then
--       those that are not named any more
-- ARGV: plugin, id of the change, the lease's value, number of the record before (0: none), the new record from behind its number, and
--       two counts, see KEYS
-- returns 1 and the number of the record, or 0 and why not: "lease", "changed" or "gone"
local before, number = redis.call('HGET', KEYS[1], ARGV[1]), 0
if before then
  local ok, record = pcall(cjson.decode, before)
  if not ok or type(record) ~= 'table' or type(record.number) ~= 'number' then
    return redis.error_reply('ERR the record of plugin ' .. ARGV[1] .. ' is damaged')
  end
  if record.change == ARGV[2] then
    return {1, string.format('%.0f', record.number)}
  end
  number = record.number
end
if redis.call('GET', KEYS[2]) ~= ARGV[3] then
  return {0, 'lease'}
end
if number ~= tonumber(ARGV[4]) then
  return {0, 'changed'}
end
for i = 3, 2 + tonumber(ARGV[6]) do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    return {0, 'gone'}
  end
end
for i = 3, #KEYS do
  if i <= 2 + tonumber(ARGV[7]) then
    redis.call('PERSIST', KEYS[i])
  else
    redis.call('DEL', KEYS[i])
  end
end
local now = redis.call('TIME')
number = string.format('%.0f', math.max(number + 1, now[1] * 1000 + math.floor(now[2] / 1000)))
redis.call('HSET', KEYS[1], ARGV[1], '{"number":' .. number .. ',' .. ARGV[5])
redis.call('DEL', KEYS[2])
return {1, number}
