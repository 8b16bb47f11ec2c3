-- Reads. ARGV: 2 "recover" or "read"; 3 the epoch that the asker was in, or ""; 4 the number that he has; 5 how many publications
-- at most, -1 for all; 6 "snapshots" or "".
-- Answers epoch, number, "recovered" or "", the snapshots and the publications.
@life
local last = tonumber(number)
if HISTORY_MAX > 0 then
  local before = bytes
  expire()
  if bytes ~= before then call('HSET', metaKey, 'b', bytes) end
end
if now / 1000 - extended > STEP then extend() end
local kept = HISTORY_MAX > 0 and math.min(call('LLEN', historyKey), HISTORY_MAX) or 0
local after, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local same = ARGV[3] == epoch

-- newest returns the newest n publications.
local function newest(n)
  if n > kept then n = kept end
  if n <= 0 then return {} end
  return call('LRANGE', historyKey, -n, -1)
end

if ARGV[2] == 'recover' and HISTORY_MAX > 0 and same and after <= last then
  local missing = last - after
  if missing <= kept and (limit < 0 or missing <= limit) then
    return {epoch, number, 'recovered', {}, newest(missing)}
  end
end
if ARGV[6] ~= '' then
  local snapshots, oldest = {}, math.huge
  if SNAPSHOTS_MAX > 0 then snapshots = call('HVALS', tag .. ':s') end
  for _, snapshot in ipairs(snapshots) do
    oldest = math.min(oldest, tonumber(string.match(snapshot, NUMBER) or 0))
  end
  local most = last - oldest
  if limit == 0 then most = 0 elseif limit > 0 then most = math.min(most, limit + #snapshots) end
  return {epoch, number, '', snapshots, newest(most)}
end
if ARGV[2] == 'recover' or (ARGV[3] ~= '' and not same) then after = 0 end
local most = last - after
if limit >= 0 and limit < most then most = limit end
return {epoch, number, '', {}, newest(most)}
