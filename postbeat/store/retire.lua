-- Forgets a pair that has left the profile: all that is known of it, but for the log of its figures and its
-- rollups, which stay for their time. Its region has no vote on the element any more. Until its silence would have
-- counted polls of it may be under way: so long its hash says that it has left, and they are not counted.
-- KEYS  1 pair hash  2 states hash  3 notable list  4 timing hash  5 raw stream  6 rollup hash  7 expected zset
--       8 verdicts hash  9 events stream  10 ... latest hashes
-- ARGV  1 pair  2 how long the log is kept, in s  3 how long rollups are kept, in s
local pair = ARGV[1]
local element, region = string.match(pair, '^(.*)@(.*)$')
local slot = redis.call('HGET', KEYS[1], 'slot') or '0'
local silent_at_us = tonumber(redis.call('ZSCORE', KEYS[7], pair) or '')
if not silent_at_us then
  return 0 -- another beat was quicker
end
local under_way_us = silent_at_us - clock_us()
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
if under_way_us > 0 then
  redis.call('HSET', KEYS[1], 'left', '1')
  redis.call('PEXPIRE', KEYS[1], whole(math.ceil(under_way_us / 1000)))
end
redis.call('HDEL', KEYS[2], pair)
redis.call('ZREM', KEYS[7], pair)
for place = 10, #KEYS do
  redis.call('HDEL', KEYS[place], pair)
end
redis.call('EXPIRE', KEYS[5], ARGV[2])
if redis.call('TTL', KEYS[6]) == -1 then
  redis.call('EXPIRE', KEYS[6], ARGV[3])
end
local cause = { poll = pair .. '#' .. slot, at_us = whole(clock_us()), message = pair .. ' has left the profile' }
vote(KEYS[8], KEYS[9], KEYS[2], element, region, nil, nil, cause)
return 1
