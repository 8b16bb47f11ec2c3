-- Puts back a record that Redis has lost, unless it has a newer one, and bytes that it has lost.
-- KEYS: the hash of records, then blobs
-- ARGV: plugin, the record, its number, then the bytes of each blob
-- returns how many things were put back, -1 where Redis has a newer record
local there, put = redis.call('HGET', KEYS[1], ARGV[1]), 0
if there then
  local ok, record = pcall(cjson.decode, there)
  there = ok and type(record) == 'table' and tonumber(record.number)
end
if there and there > tonumber(ARGV[3]) then
  return -1
end
if not there or there < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  put = 1
end
for i = 2, #KEYS do
  if redis.call('SET', KEYS[i], ARGV[i + 2], 'NX') then
    put = put + 1
  else
    redis.call('PERSIST', KEYS[i])
  end
end
return put
