-- Prolongs the lease of a mailbox.      KEYS 1 lease string      ARGV 1 token  2 how long, in ms
-- Returns 1, or 0 when the lease was not the caller's any more.
if holds(KEYS[1], ARGV[1]) then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
