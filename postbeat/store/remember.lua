-- Keeps a reader's memory, under its lease.
-- KEYS  1 lease string  2 memory string       ARGV  1 token  2 memory  3 how long it is kept, in s
-- Returns 1, or -1 when the lease is lost.
if not holds(KEYS[1], ARGV[1]) then
  return -1
end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
