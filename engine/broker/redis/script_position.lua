-- Tells where the topic stands and lets it live on: its epoch, its number, and in µs when it was last published to.
if now / 1000 - extended > STEP then
  @life
  extend()
end
return epoch .. number .. ' ' .. (call('HGET', metaKey, 't') or '0')
