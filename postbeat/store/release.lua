-- Gives the lease of a mailbox back, but only when nothing is pending in it: a message that became pending a
-- moment ago is the holder's to find. What is awaited does not hold it: the sweep sends for readers now and then.
-- KEYS  1 pending hash  2 lease string       ARGV  1 token  2 force (1|0): give it back whatever is pending
-- Returns 1 when released, 0 when something is pending, -1 when the lease was not the caller's any more.
if not holds(KEYS[2], ARGV[1]) then
  return -1
end
if ARGV[2] == '0' and redis.call('HLEN', KEYS[1]) > 0 then
  return 0
end
redis.call('DEL', KEYS[2])
return 1
