-- Whether a reader should be woken for a mailbox: something is pending, nobody holds the lease, and nobody
-- was woken a moment ago.
-- KEYS  1 pending hash  2 lease string  3 waking string       ARGV  1 how long a waking lasts, in ms
-- Returns 1 when the caller should send a reader, else 0.
if redis.call('HLEN', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
if redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[1]) then
  return 1
end
return 0
