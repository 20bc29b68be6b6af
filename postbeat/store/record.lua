-- Records the result of one phase of a poll, once. All that follows from it happens here, in one step:
-- the count, the latest result, the level (compare and set), the next expected time, and an event when the
-- level of the round trip changed.
--
-- KEYS  1 pair            hash   what is known of this element in this region
--       2 latest          hash   pair -> latest result of this phase
--       3 results         stream
--       4 events          stream
--       5 expected        zset   pair, pair/read -> the time from which its silence counts
--       6 open            zset   polls passed over by a later one -> the time from which their silence counts
--       7 seen (send)     string of this poll | lease (read) string of the mailbox
--       8 pending         hash   poll -> what the reader needs          (send with mail out, and read)
--       9 mailboxes       hash   mailbox -> how to wake its reader      (send with mail out)
-- ARGV  1 phase  2 pair  3 slot  4 level  5 message  6 result  7 now_us  8 has_read (1|0)
--       send: 9 interval_us  10 silent_at_us  11 seen_for_s  12 silent polls more than this one
--             13 mailbox ("" when no mail went out)  14 pending entry  15 how to wake  16 read_silent_at_us
--       read: 9 lease token ("" stands for: nobody holds the lease)
-- Returns {1} when recorded, {0} when it was recorded before, {-1} when the lease is lost;
--         as second value of a send the number of messages pending in its mailbox.

local phase, pair, slot, level, message = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local result, now_us, has_read = ARGV[6], ARGV[7], ARGV[8] == '1'
local poll = pair .. '#' .. ARGV[3]
local RESULTS, EVENTS, GAP = 100000, 20000, 1000

local function send_bookkeeping()
  if not redis.call('SET', KEYS[7], '1', 'NX', 'EX', ARGV[11]) then
    redis.call('ZREM', KEYS[6], poll)
    return false
  end
  local grid = redis.call('HMGET', KEYS[1], 'slot', 'interval_us')
  local last = tonumber(grid[1] or '')
  if grid[2] and grid[2] ~= ARGV[9] then
    -- Slots are counted in intervals: with another interval they start anew, far below or above.
    redis.call('HDEL', KEYS[1], 'at:send', 'at:read')
    last = nil
  end
  if last and slot <= last then
    redis.call('ZREM', KEYS[6], poll)
    return true
  end
  local missed = tonumber(ARGV[12])
  if last then
    -- Polls between the last one and this one may still be running: they are open until their silence counts.
    for passed = math.max(last + 1, slot - GAP), slot - 1 - missed do
      redis.call('ZADD', KEYS[6], 'NX', ARGV[10], pair .. '#' .. string.format('%d', passed))
    end
  end
  if missed > 0 then
    redis.call('HINCRBY', KEYS[1], 'n:send:UNKNOWN', string.format('%d', missed))
  end
  redis.call('HSET', KEYS[1], 'slot', ARGV[3], 'interval_us', ARGV[9], 'reads', ARGV[8])
  redis.call('ZADD', KEYS[5], ARGV[10], pair)
  return true
end

local function read_bookkeeping()
  if (redis.call('GET', KEYS[7]) or '') ~= ARGV[9] then
    return -1
  end
  if redis.call('HDEL', KEYS[8], poll) == 0 then
    return 0
  end
  redis.call('ZREM', KEYS[5], pair .. '/read')
  return 1
end

local severity = { GOOD = 0, MARGINAL = 1, UNKNOWN = 2, FAILED = 3 }

-- The same rule as postbeat.grade.merged.
local function merged(send, read)
  if not has_read or send == 'UNKNOWN' or severity[send] >= severity[read] then
    return send
  end
  return read
end

if phase == 'send' then
  if not send_bookkeeping() then
    return { 0, 0 }
  end
else
  local known = read_bookkeeping()
  if known ~= 1 then
    return { known, 0 }
  end
end

redis.call('XADD', KEYS[3], 'MAXLEN', '~', RESULTS, '*', 'r', result)
local sent = tonumber(redis.call('HGET', KEYS[1], 'slot') or '')
if not sent then
  return { 1, 0 } -- a message of a pair that has left the profile since
end
redis.call('HINCRBY', KEYS[1], 'n:' .. phase .. ':' .. level, 1)

-- A result that was overtaken by a later poll's counts, but does not speak for the present; nor does a read
-- from beyond the last send, whose slot is of an interval that the element had before.
local newest = tonumber(redis.call('HGET', KEYS[1], 'at:' .. phase) or '-1')
if newest <= slot and slot <= sent then
  redis.call('HSET', KEYS[1], 'at:' .. phase, ARGV[3], phase, level)
  redis.call('HSET', KEYS[2], pair, result)
  local state = redis.call('HMGET', KEYS[1], 'send', 'read', 'level')
  local before = state[3] or 'UNKNOWN'
  local after = merged(state[1] or 'UNKNOWN', state[2] or 'UNKNOWN')
  if phase == 'send' and ARGV[13] == '' and not state[2] then
    after = level -- no message is on its way, and nothing was ever read: there is only this to tell
  end
  if after ~= before then
    redis.call('HSET', KEYS[1], 'level', after, 'since_us', now_us, 'why', message)
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', EVENTS, '*', 'pair', pair, 'was', before, 'level', after,
      'at_us', now_us, 'poll', poll, 'phase', phase, 'message', message)
  elseif level == after and (phase == 'read' or not has_read or level ~= 'GOOD') then
    -- The text of the half that the level comes from; where both are GOOD, that of the read, which says more.
    redis.call('HSET', KEYS[1], 'why', message)
  end
end

if phase == 'send' and ARGV[13] ~= '' then
  redis.call('HSET', KEYS[8], poll, ARGV[14])
  redis.call('HSET', KEYS[9], ARGV[13], ARGV[15])
  redis.call('ZADD', KEYS[5], 'NX', ARGV[16], pair .. '/read')
  return { 1, redis.call('HLEN', KEYS[8]) }
end
return { 1, 0 }
