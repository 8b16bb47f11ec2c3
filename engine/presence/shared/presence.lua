-- Everything that is ever done to the members of one topic, in one step: a node writes what it has, reads who is there,
-- takes away what dead nodes had, lets those depart whose grace period is over, and tells what is due.
--
-- KEYS: the topic's hash; the users of whom something is to be told, a list; who is in his grace period, by its end in ms.
-- Fields of the hash:
--   #v #l     version of the last notice, and where this life of the topic began
--   #n #b     members who are there, and bytes that they say of themselves
--   #d #w     ms when the changes are due (0: there are none), and the nodes that have somebody here, each with a space after it
--   n<node>   turn,ms,users: of the node's last call, and how many users it has here
--   c<node> <user>   the user's connections to the node
--   m<user>   connections,since,flags,stamp,lost,data (flags: see letters); stamp is when the data was said, in us
-- A version and a stamp are below 2^53, so a number holds them exactly; text() writes them without an exponent.
local P, C, G = KEYS[1], KEYS[2], KEYS[3]
local node, channel, ways, flags = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local delay, grace, members_max, bytes_max = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local heard, id, ttl, silence = tonumber(ARGV[9]), ARGV[10], ARGV[11], tonumber(ARGV[12])
local turn, before, patience = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local batch = 1000 -- how many users one call tells of, and lets depart, at most
local arg = 15
local function take() arg = arg + 1; return ARGV[arg] end
local function wants(letter) return string.find(flags, letter, 1, true) ~= nil end
local function text(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)

local meta = redis.call('HMGET', P, '#v', '#l', '#n', '#b', '#d', '#w', 'n' .. node)
local version, life, present, bytes = tonumber(meta[1]), tonumber(meta[2]), tonumber(meta[3]) or 0, tonumber(meta[4]) or 0
local due, nodes = tonumber(meta[5]) or 0, meta[6] or ''
local my_turn, my_ms, my_users = string.match(meta[7] or '', '^(%d+),(%d+),(%d+)$')
my_turn, my_ms, my_users = tonumber(my_turn or 0), tonumber(my_ms or 0), tonumber(my_users or 0)

if wants('b') then before, turn = my_turn, my_turn end -- a burial says nothing of the node that sees to it
if my_turn > turn then return {'stale'} end
if my_turn ~= before and my_turn ~= turn and not wants('f') then
  return {'full', version and 1 or 0} -- what the node believes to be here is not: it has to say everything
end
local fresh, dirty = not version, wants('f') or wants('c')
if fresh then
  redis.call('DEL', C, G)
  version = math.max(us, heard)
  life = version
elseif heard > version then -- a failover took back what was told already
  version = math.max(us, heard)
  life, dirty = version, true
end

local told, ends = {0, 0, 0}, math.huge -- joins, leaves, updates; when the first grace period that began here is over
local mine = wants('d') or wants('c') or wants('b') -- the caller sees to what is due, whoever began it

-- letters of a member: gone, known to subscribers, listed in an answer since the last tell, updated, changing (he is in C),
-- restored without his data, waiting (he is in G)
local letters = {'g', 'k', 'l', 'u', 'c', 'r', 'w'}
local function parse(record)
  if not record then return nil end
  local count, since, have, stamp, lost, data = string.match(record, '^(%d+),(%d+),(%a*),(%d+),(%d+),(.*)$')
  if not count then return nil end
  local m = {count = tonumber(count), since = since, stamp = tonumber(stamp), lost = tonumber(lost), data = data}
  for i = 1, #have do m[string.sub(have, i, i)] = true end
  return m
end
local function load(user) return parse(redis.call('HGET', P, 'm' .. user)) end
local function save(user, m)
  local have = ''
  for _, letter in ipairs(letters) do
    if m[letter] then have = have .. letter end
  end
  redis.call('HSET', P, 'm' .. user, table.concat({text(m.count), m.since, have, text(m.stamp), text(m.lost), m.data}, ','))
end
local function change(user, m)
  dirty = true
  if m.c then return end
  m.c = true
  if redis.call('RPUSH', C, user) == 1 then redis.call('PEXPIRE', C, ttl) end
  if due == 0 then due, mine = now + delay, true end
end
local function unwait(user, m)
  if m.w then redis.call('ZREM', G, user) end
  m.w = nil
end
local function depart(user, m)
  unwait(user, m)
  bytes, present = bytes - #m.data, present - 1
  m.data, m.stamp, m.count, m.lost, m.g, m.r = '', 0, 0, 0, true, nil
  change(user, m)
end
-- wait has a member depart at a time, unless he comes back.
local function wait(user, m, over)
  redis.call('ZADD', G, text(over), user)
  for _, key in ipairs({P, C, G}) do redis.call('PEXPIRE', key, ttl) end -- nobody may be left to do so until then
  m.w, ends = true, math.min(ends, over)
end
-- settle does what follows from the number of a member's connections.
local function settle(user, m)
  if m.count > 0 then
    unwait(user, m)
  elseif not m.g then
    if m.lost > 0 and m.lost + grace > now then wait(user, m, m.lost + grace) else depart(user, m) end
  end
end
-- away takes a node's connections of a user away.
local function away(field, user, lost)
  local count = tonumber(redis.call('HGET', P, field)) or 0
  redis.call('HDEL', P, field)
  local m = load(user)
  if not m or m.g then return end
  m.count = math.max(0, m.count - count)
  if lost then m.lost = now end
  settle(user, m)
  save(user, m)
end
-- each calls f with every user whose connections to a node are counted.
local function each(of, f)
  local prefix = 'c' .. of .. ' '
  for _, field in ipairs(redis.call('HKEYS', P)) do
    if string.sub(field, 1, #prefix) == prefix then f(field, string.sub(field, #prefix + 1)) end
  end
end
local function listed(of) return string.find(' ' .. nodes, ' ' .. of .. ' ', 1, true) end
local function forget(of)
  redis.call('HDEL', P, 'n' .. of)
  local from = listed(of)
  if from then nodes = string.sub(nodes, 1, from - 1) .. string.sub(nodes, from + #of + 1) end
end
local function bury(of)
  if of == node or not listed(of) then return end
  dirty, mine = true, true
  each(of, function(field, user) away(field, user, true) end)
  forget(of)
end

for _ = 1, tonumber(take()) do bury(take()) end

-- Who was known before everything was lost is there for some time yet: his node will say whether he is.
for _ = 1, tonumber(take()) do
  local user, since, stamp = take(), take(), tonumber(take())
  if fresh and present < members_max and not load(user) then
    local m = {count = 0, since = since, k = true, r = true, stamp = stamp, lost = 0, data = ''}
    wait(user, m, now + patience)
    save(user, m)
    present, dirty = present + 1, true
  end
end

-- write makes a user's connections to this node as many as count says, and has him say data: of now (u), or of the time of
-- stamp (s), which counts where he said nothing since. The answer is o, m (too many members) or d (too much data).
local function write(user, count, since, lost, op, data, stamp)
  local field = 'c' .. node .. ' ' .. user
  local row = redis.call('HMGET', P, field, 'm' .. user)
  local had, m = tonumber(row[1]) or 0, parse(row[2])
  dirty = true
  if count > 0 and (not m or m.g) then
    if present >= members_max then return 'm', '0', 0, '' end
    m = m or {count = 0}
    m.g, m.u, m.data, m.stamp, m.lost, m.since = nil, true, '', 0, 0, since ~= '0' and since or text(now)
    present = present + 1
    change(user, m)
  end
  if not m then return 'o', '0', 0, '' end
  if count ~= had then
    m.count = math.max(0, m.count + count - had)
    if count == 0 then redis.call('HDEL', P, field) else redis.call('HSET', P, field, text(count)) end
    my_users = my_users + (had == 0 and 1 or 0) - (count == 0 and 1 or 0)
  end
  if lost == 'e' then m.lost = 0 elseif lost ~= '' then m.lost = math.max(1, now - tonumber(lost)) end
  settle(user, m)
  local code, copy = 'o', ''
  if m.g then op = '' end
  stamp = tonumber(stamp)
  if m.r and count > 0 and op ~= 'u' then -- what he said is as it was told, or is told anew
    if op ~= 's' then stamp = 0 end
    if stamp ~= m.stamp or m.l then
      m.u = true
      change(user, m)
    end
    m.stamp = -1
  end
  if op == 'u' and data ~= m.data or op == 's' and stamp > m.stamp then
    if #data > #m.data and bytes + #data - #m.data > bytes_max then
      code = 'd'
    else
      bytes = bytes + #data - #m.data
      m.data, m.stamp = data, op == 'u' and us or stamp
      if not m.r or op == 'u' then
        m.u = true
        change(user, m)
      end
    end
  elseif had == 0 and op == '' then
    copy = m.data
  end
  if count > 0 then m.r, m.stamp = nil, math.max(0, m.stamp) end
  save(user, m)
  return code, m.since, m.stamp, copy
end

local answers, written = {}, {}
for i = 1, tonumber(take()) do
  local user, count, since, lost, op, data, stamp = take(), tonumber(take()), take(), take(), take(), take(), take()
  local code, began, said, copy = write(user, count, since, lost, op, data, stamp)
  written[user] = true
  answers[i] = {code, began, text(said), copy}
end
if wants('f') and my_turn > 0 then -- what the node does not say any more is no more
  each(node, function(field, user)
    if not written[user] then
      away(field, user, false)
      my_users = my_users - 1
    end
  end)
end

if wants('c') then
  for other in string.gmatch(nodes, '%S+') do -- nobody may have been there to see a node die
    local ms = tonumber(string.match(redis.call('HGET', P, 'n' .. other) or '', '^%d+,(%d+),')) or 0
    if now - ms > silence and now - my_ms < silence then bury(other) end
  end
  for _, key in ipairs({P, C, G}) do redis.call('PEXPIRE', key, ttl) end
end

if mine then
  for _, user in ipairs(redis.call('ZRANGEBYSCORE', G, '-inf', text(now), 'LIMIT', 0, batch)) do
    redis.call('ZREM', G, user)
    local m = load(user)
    if m and m.w then
      m.w = nil
      if m.count == 0 and not m.g then depart(user, m) end
      save(user, m)
    end
  end
  local first = redis.call('ZRANGE', G, 0, 0, 'WITHSCORES')
  if first[2] then ends = tonumber(first[2]) end
end

-- tell publishes one notice for each user of whom there is something to be told: as what he is now.
local function tell()
  local parts, size, sent = {}, 0, 0
  local function publish()
    if #parts == 0 then return end
    local body = '{"v":2,"notice":"presence","life":' .. text(life) .. ',"ts":' .. text(now) .. ',"id":' .. cjson.encode(id .. '.' .. sent) ..
      ',"changes":[' .. table.concat(parts, ',') .. ']}'
    if ways ~= 's' then redis.call('PUBLISH', channel, body) end
    if ways ~= 'p' then redis.call('SPUBLISH', channel, body) end
    parts, size, sent = {}, 0, sent + 1
  end
  local users = redis.call('LRANGE', C, 0, batch - 1)
  for _, user in ipairs(users) do
    local m = load(user)
    if m and m.c then
      local kind
      if m.g then
        redis.call('HDEL', P, 'm' .. user)
        if m.k or m.l then kind = 2 end
      else
        if not m.k then kind = 1 elseif m.u then kind = 3 end
        m.k, m.c, m.u, m.l = true, nil, nil, nil
        save(user, m)
      end
      if kind then
        version, told[kind] = version + 1, told[kind] + 1
        local part = '{"ver":' .. text(version) .. ',"kind":"' .. ({'join', 'leave', 'update'})[kind] .. '","user":' .. cjson.encode(user) ..
          ',"since":' .. m.since .. ',"stamp":' .. text(m.stamp)
        if m.data ~= '' then part = part .. ',"data":' .. m.data end
        parts[#parts + 1], size = part .. '}', size + #part
        if size > 65536 then publish() end
      end
    end
  end
  publish()
  if #users < batch then
    redis.call('DEL', C)
    due = 0
  else
    redis.call('LTRIM', C, batch, -1)
    mine = true
  end
end
if due > 0 and due <= now then
  dirty = true
  tell()
end

local list = false
if wants('r') or wants('m') then -- with what they say, or without
  for _, user in ipairs(redis.call('LRANGE', C, 0, -1)) do
    local m = wants('r') and load(user)
    if m and not m.g and not m.l then
      m.l = true
      save(user, m)
    end
  end
  list = {}
  local all = redis.call('HGETALL', P)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) == 'm' then
      local user, record = string.sub(all[i], 2), all[i + 1]
      if wants('r') and string.find(record, '^%d+,%d+,%a*r') then -- shown without what he said, which will be told therefore
        local m = parse(record)
        m.l = true
        save(user, m)
      end
      list[#list + 1] = user
      list[#list + 1] = wants('r') and record or string.match(record, '^%d+,%d+,%a*,%d+,%d+,') or ''
    end
  end
end

if present <= 0 and due == 0 then -- nobody is here, and nothing is to be told
  if not fresh then redis.call('DEL', P, C, G) end
  my_users = 0
elseif dirty then
  redis.call('HSET', P, '#v', text(version), '#l', text(life), '#n', text(present), '#b', text(bytes), '#d', text(due))
  if my_users > 0 then
    if not listed(node) then nodes = nodes .. node .. ' ' end
    redis.call('HSET', P, 'n' .. node, text(turn) .. ',' .. text(now) .. ',' .. text(my_users))
  else
    forget(node)
  end
  redis.call('HSET', P, '#w', nodes)
  if fresh then redis.call('PEXPIRE', P, ttl) end
end
local function within(at) return at == math.huge and -1 or math.max(0, at - now) end
local stands = my_users > 0 and (dirty and turn or my_turn) or 0 -- the turn that the hash has of the node now
return {'ok', text(version), text(life), within(due > 0 and mine and due or math.huge), within(ends), text(stands), told, answers, list, fresh and 1 or 0}
