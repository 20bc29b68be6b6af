-- Leaves the queue for a mailbox's lease; where the turn came just then, gives the lease back.
-- KEYS  1 lease string  2 turns zset       ARGV  1 token
for _, waiter in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if string.sub(waiter, 18) == ARGV[1] then
    redis.call('ZREM', KEYS[2], waiter)
  end
end
if holds(KEYS[1], ARGV[1]) then
  redis.call('DEL', KEYS[1])
end
return 1
