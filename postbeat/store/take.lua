-- Takes the counters of a mailbox since they were last taken, under the lease.
-- KEYS  1 lease string  2 mailbox hash       ARGV  1 token
-- Returns {1, name, number, ...}, or {-1} when the lease is lost.
if not holds(KEYS[1], ARGV[1]) then
  return { -1 }
end
local taken = { 1 }
local fields = redis.call('HGETALL', KEYS[2])
for place = 1, #fields, 2 do
  local name = string.match(fields[place], '^since:(.*)$')
  if name then
    table.insert(taken, name)
    table.insert(taken, fields[place + 1])
    redis.call('HDEL', KEYS[2], fields[place])
  end
end
return taken
