-- Adds to the counters of a mailbox, and keeps what is known of it, under the lease; each note once.
-- KEYS  1 lease string  2 mailbox hash
-- ARGV  1 token  2 name of the note  3 looked_at_us  4 not_before_us  5 worker  6 facts ("": as before)
--       7 why the last look failed ("": it did not)  8 how long it is kept, in s  9 ... name and number of each counter
-- Returns 1, 0 when this note was added before, -1 when the lease is lost.
if not holds(KEYS[1], ARGV[1]) then
  return -1
end
if redis.call('HGET', KEYS[2], 'note') == ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[2], 'note', ARGV[2], 'looked_at_us', ARGV[3], 'not_before_us', ARGV[4], 'worker', ARGV[5])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[2], 'facts', ARGV[6])
end
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[2], 'fault', ARGV[7])
else
  redis.call('HDEL', KEYS[2], 'fault')
end
for place = 9, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[2], 'total:' .. ARGV[place], ARGV[place + 1])
  redis.call('HINCRBY', KEYS[2], 'since:' .. ARGV[place], ARGV[place + 1])
end
redis.call('EXPIRE', KEYS[2], ARGV[8])
return 1
