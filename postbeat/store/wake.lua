-- Whether a reader should be woken for a mailbox: nobody holds the lease or waits for it, nobody was woken a
-- moment ago, and there is something to look for. That is a pending message; or an awaited one, when nobody has
-- looked for some time or it counts as lost by now, and the server may be asked again.
-- KEYS  1 pending hash  2 lease string  3 waking string  4 turns zset  5 lost-at zset  6 mailbox hash
-- ARGV  1 how long a waking lasts, in ms  2 how long awaited messages may go without a look, in us
-- Returns 1 when the caller should send a reader, else 0.
local function awaited()
  local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  if #first == 0 then
    return false
  end
  local now_us = clock_us()
  local noted = redis.call('HMGET', KEYS[6], 'looked_at_us', 'not_before_us')
  local looked_at_us, not_before_us = tonumber(noted[1] or '0'), tonumber(noted[2] or '0')
  local is_due = looked_at_us + tonumber(ARGV[2]) <= now_us or tonumber(first[2]) <= now_us
  return is_due and not_before_us <= now_us
end

if redis.call('EXISTS', KEYS[2], KEYS[4]) > 0 then
  return 0
end
if redis.call('HLEN', KEYS[1]) == 0 and not awaited() then
  return 0
end
if redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[1]) then
  return 1
end
return 0
