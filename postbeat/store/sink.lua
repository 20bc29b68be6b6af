-- Notes what a sink has dealt with, in one step: its place in the stream, what is open, and what it did not take.
--
-- KEYS  1 lease  string of the sink
--       2 sink   hash   cursor, stream, move, delivered, trying, trying_since_us, error, again
--       3 open   hash   subject -> standing
--       4 dead   stream
-- ARGV  1 token  2 lease_ms  3 cursor before  4 cursor after  5 told (1: an event was told, or given up)
--       6 letter that was delivered again, or given up again ("": none)
--       7 letter to add ("": none)  8 reason  9 now_us  10 letters kept  11 the move's name: it may come twice
--       12 stream that it follows
--       then for each subject: its name, its standing ("": it has none any more)
-- Returns 1, or -1 where another process holds the sink, or has moved it on. A lease that has ended is taken anew:
-- nobody else has come in between. So is a sink that is gone, as when Redis was emptied: it goes on where it was.

local known = redis.call('HMGET', KEYS[2], 'cursor', 'move')
local repeated = known[2] == ARGV[11]
if (redis.call('GET', KEYS[1]) or ARGV[1]) ~= ARGV[1] or not repeated and (known[1] or ARGV[3]) ~= ARGV[3] then
  return -1
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if repeated then
  return 1
end
redis.call('HSET', KEYS[2], 'cursor', ARGV[4], 'move', ARGV[11], 'stream', ARGV[12])
if ARGV[5] == '1' then
  redis.call('HDEL', KEYS[2], 'trying', 'trying_since_us', 'error')
  if ARGV[7] == '' then
    redis.call('HINCRBY', KEYS[2], 'delivered', 1)
  end
end
if ARGV[6] ~= '' then
  redis.call('XDEL', KEYS[4], ARGV[6])
end
if ARGV[7] ~= '' then
  redis.call('XADD', KEYS[4], 'MAXLEN', ARGV[10], '*', 'notice', ARGV[7], 'reason', ARGV[8], 'at_us', ARGV[9])
end
for index = 13, #ARGV, 2 do
  if ARGV[index + 1] == '' then
    redis.call('HDEL', KEYS[3], ARGV[index])
  else
    redis.call('HSET', KEYS[3], ARGV[index], ARGV[index + 1])
  end
end
return 1
