-- Writes what a bridge has made of results, in one step: rows of the table, their streams, and its place.
--
-- KEYS  1 lease   string of the bridge
--       2 bridge  hash   cursor, move, last (the last entry that it wrote, or knew)
--       3 table   hash   Identifier -> row
--       4 alerts  stream of all changes but repeats
--       5 all     stream of all changes
-- ARGV  1 token  2 lease_ms  3 cursor before  4 cursor after  5 entry of the stream of all changes up to which the
--       caller knows the table  6 entries kept in a stream  7 a name for this call: it may come twice
--       then for each change: Identifier, change, Severity before ("": no row), the row after it
-- Returns the last entry then; 0 where the table is not as the caller knows it, as another bridge has written; -1 where another
-- process is this bridge, or has moved it on. A lease that has ended is taken anew: nobody has come in between.

local known = redis.call('HMGET', KEYS[2], 'cursor', 'move', 'last')
if known[2] == ARGV[7] then
  return known[3]
end
if (redis.call('GET', KEYS[1]) or ARGV[1]) ~= ARGV[1] or (known[1] or '') ~= ARGV[3] then
  return -1
end
if #ARGV > 7 then
  local newest = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)
  if (newest[1] and newest[1][1] or '0-0') ~= ARGV[5] then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local last = ARGV[5]
for index = 8, #ARGV, 4 do
  local identifier, change, was, row = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
  if change == 'deleted' then
    redis.call('HDEL', KEYS[3], identifier)
  else
    redis.call('HSET', KEYS[3], identifier, row)
  end
  last = redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[6], '*', 'change', change, 'was', was, 'alert', row)
  if change ~= 'repeated' then
    -- The same id, so that a place in one stream is one in the other.
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], last, 'change', change, 'was', was, 'alert', row)
  end
end
redis.call('HSET', KEYS[2], 'cursor', ARGV[4], 'move', ARGV[7], 'last', last)
return last
