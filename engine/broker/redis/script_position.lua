-- Tells where the topic stands and lets it live on: its epoch, its number, and in µs when it was last published to.
if now / 1000 - extended > STEP then extend() end
return epoch .. number .. ' ' .. (meta[8] or '0')
