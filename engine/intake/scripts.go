package intake

import (
	_ "embed"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed letters.lua
var lettersLua string

// scripts are what has to be one step in Redis. Their clock is that of the server.
type scripts struct {
	acquire, renew, release *goredis.Script // a lease
	group, take, claim      *goredis.Script // of a stream, and its entries

	channel                               *goredis.Script // a channel's name in the index
	add, list, ids, one, begin, end, drop *goredis.Script // letters
}

func newScripts() *scripts {
	letter := func(body string) *goredis.Script { return goredis.NewScript(lettersLua + body) }
	return &scripts{
		acquire: goredis.NewScript(acquireLua), renew: goredis.NewScript(renewLua), release: goredis.NewScript(releaseLua),
		group: goredis.NewScript(groupLua), take: goredis.NewScript(takeLua), claim: goredis.NewScript(claimLua), channel: goredis.NewScript(channelLua),
		add: letter("return add()"), list: letter("return list()"), ids: letter("return ids()"), one: letter("return one()"),
		begin: letter("return begin()"), end: letter("return finish()"), drop: letter("return drop()"),
	}
}

// KEYS: the lease, the last fence. ARGV: the holder, the TTL in milliseconds. Answers the fence, or nil where another has it. A lease
// that never ends is no node's, and a fence that is no number, or too high to rise, is as good as lost.
const acquireLua = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
	if redis.call('PTTL', KEYS[1]) == -1 then return redis.error_reply('WRONGTYPE it never ends, as no lease does') end
	return false
end
local now = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
if not last or last ~= last or last >= 2^53 then last = 0 end
local fence = math.max(last + 1, now[1] * 1000000 + now[2])
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return fence`

// KEYS: the lease. ARGV: the holder, the TTL in milliseconds. Answers 1, or 0 where another has it, or nobody.
const renewLua = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

// KEYS: the lease. ARGV: the holder.
const releaseLua = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0`

// KEYS: the stream, up to where it is done. Makes the group, behind what is done, unless the stream is another one, which ends before
// that. A group that another program deleted begins no stream anew.
const groupLua = `
local function parts(id) return string.match(id or '', '^(%d+)-(%d+)$') end
local function order(number) return string.format('%20s', number) end
local from = '0'
local done = redis.pcall('GET', KEYS[2])
local ms, seq = parts(type(done) == 'string' and done or '')
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if ms and not info.err then
	for i = 1, #info, 2 do
		if info[i] == 'last-generated-id' then
			local lastMS, lastSeq = parts(info[i + 1])
			if order(lastMS) .. order(lastSeq) >= order(ms) .. order(seq) then from = done end
		end
	end
end
return redis.pcall('XGROUP', 'CREATE', KEYS[1], 'wse', from, 'MKSTREAM')`

// KEYS: the lease, the stream, up to where it is done. ARGV: the holder, the consumer, how many, up to where it is done by now, if it
// was not told before. Answers new entries as XREADGROUP does.
const takeLua = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('LEASELOST another node reads the stream') end
if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4]) end
return redis.pcall('XREADGROUP', 'GROUP', 'wse', ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[2], '>')`

// KEYS: the lease, the stream. ARGV: the holder, the consumer, how often it was delivered, an entry. Answers the entry as XRANGE
// does, or nothing where it has been deleted, and is pending no more then.
const claimLua = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('LEASELOST another node reads the stream') end
local found = redis.call('XRANGE', KEYS[2], ARGV[4], ARGV[4])
if #found == 0 then
	redis.call('XACK', KEYS[2], 'wse', ARGV[4])
	return found
end
local claimed = redis.pcall('XCLAIM', KEYS[2], 'wse', ARGV[2], 0, ARGV[4], 'RETRYCOUNT', ARGV[3], 'JUSTID')
if claimed.err then return claimed end
return found`

// KEYS: the index. ARGV: the channel, how many there may be, how long one is kept without a new letter in milliseconds, the name
// of what is too many. Answers the name that letters are kept under.
const channelLua = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - ARGV[3]))
local name = ARGV[1]
if not redis.call('ZSCORE', KEYS[1], name) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then name = ARGV[4] end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), name)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return name`
