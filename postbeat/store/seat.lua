-- Takes the lease of a mailbox where it is free: for a reader while nobody waits for it, for a check in its turn.
--
-- Who waits stands in the queue under the time when it came and its token, so that names sort in the order of
-- coming; it comes back all the time, and is alive for a moment after that. A waiter that died holds up nobody.
-- KEYS  1 lease string  2 turns zset  3 waking string
-- ARGV  1 token  2 how long the lease lasts, in ms  3 waits (1|0)  4 how long a waiter lives, in ms  5 mailbox
-- Returns 1 when the lease is the caller's, else 0.
local token = ARGV[1]
if holds(KEYS[1], token) then
  return 1 -- this call was made before, and its answer did not arrive
end
local now_us = clock_us()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now_us))
local first, mine
for _, waiter in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if not first or waiter < first then
    first = waiter
  end
  if string.sub(waiter, 18) == token then
    mine = waiter
  end
end
if first == mine and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
  redis.call('DEL', KEYS[3])
  if mine then
    redis.call('ZREM', KEYS[2], mine)
  end
  return 1
end
if ARGV[3] == '1' then
  if not mine then
    mine = string.format('%016.0f:', now_us) .. token
    ring(KEYS[1], ARGV[5], '')
  end
  redis.call('ZADD', KEYS[2], whole(now_us + tonumber(ARGV[4]) * 1000), mine)
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return 0
