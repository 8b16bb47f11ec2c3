-- What follows is needed only where keys are extended or something is read, and so is put in there.

-- extend lets the keys live on. It is done every STEP, and each key gets a STEP more than it needs.
local function extend()
  call('HSET', metaKey, 'x', string.sub(now, 1, -4))
  call('PEXPIRE', metaKey, META_TTL)
  if HISTORY_MAX > 0 then call('PEXPIRE', historyKey, HISTORY_TTL) end
  if SNAPSHOTS_MAX > 0 then call('PEXPIRE', tag .. ':s', META_TTL) end
  if IDS_MAX > 0 then call('PEXPIRE', tag .. ':i', IDS_TTL) end
end

-- expire drops what is older than the class keeps it, and what no script wrote.
local function expire()
  local before, old = now - HISTORY_AGE, call('LINDEX', historyKey, 0)
  while old and tonumber(string.match(old, AT) or 0) <= before do
    local some, gone = call('LRANGE', historyKey, 0, 63), 0
    for _, entry in ipairs(some) do
      if tonumber(string.match(entry, AT) or 0) > before then break end
      gone, bytes = gone + 1, bytes - #entry
    end
    call('LTRIM', historyKey, gone, -1)
    old = call('LINDEX', historyKey, 0)
  end
end
