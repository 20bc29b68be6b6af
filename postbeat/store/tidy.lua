-- Drops awaited messages that nobody gave a result for long after they counted as lost. Of a mailbox that has left
-- the profile, pending ones as well; and once nothing is left to look for in it, everything.
-- KEYS  1 pending hash  2 awaited hash  3 lost-at zset  4 lease string  5 turns zset  6 mailboxes hash
--       7 ... everything else of the mailbox
-- ARGV  1 mailbox  2 whether it is in the profile (1|0)  3 how long what is lost is kept, in us
-- Returns 1 when the mailbox was forgotten, else 0.
local before_us = clock_us() - tonumber(ARGV[3])
for _, poll in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', whole(before_us))) do
  redis.call('HDEL', KEYS[2], poll)
  redis.call('ZREM', KEYS[3], poll)
end
if ARGV[2] == '1' then
  return 0
end
local entries = redis.call('HGETALL', KEYS[1])
for place = 1, #entries, 2 do
  local lost_at_us = cjson.decode(entries[place + 1])[5]
  if lost_at_us <= before_us then
    redis.call('HDEL', KEYS[1], entries[place])
  end
end
if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[4], KEYS[5]) > 0 then
  return 0
end
redis.call('HDEL', KEYS[6], ARGV[1])
redis.call('DEL', unpack(KEYS, 7))
return 1
