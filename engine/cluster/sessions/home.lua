-- KEYS: a user's home. ARGV: who wants to be it ('': nobody), a node that is dead, how long it is kept in ms. Returns the home, '' for none.
local home = redis.call('GET', KEYS[1])
if ARGV[1] ~= '' and (not home or home == ARGV[2]) then home = ARGV[1] end
if not home then return '' end
redis.call('SET', KEYS[1], home, 'PX', ARGV[3])
return home
