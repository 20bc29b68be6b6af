-- Records the result of one phase of a poll, once. All that follows from it happens here, in one step: the count,
-- the latest result, the level (compare and set), the next expected time, where the message stands, and an event
-- when the level changed or the outcome is news.
--
-- KEYS  1 pair            hash   what is known of this element in this region
--       2 latest          hash   pair -> latest result of this phase
--       3 results         stream
--       4 events          stream
--       5 expected        zset   pair, pair/read -> the time from which its silence counts
--   send, check:
--       6 open            zset   polls passed over by a later one -> the time from which their silence counts
--       7 seen            string of this poll
--       8 mailboxes       hash   mailbox -> how to wake its reader
--       9 pending         hash   poll -> what the reader needs       10 lease string
--   read, after:
--       6 lease           string of the mailbox
--       7 pending         hash   8 awaited hash   9 lost-at zset   10 settled zset   11 copies zset
-- ARGV  1 phase  2 pair  3 slot  4 level  5 message  6 result  7 now_us  8 has_read (1|0)  9 outcome
--   send, check:
--       10 interval_us  11 silent_at_us  12 seen_for_s  13 silent polls more than this one
--       14 mailbox ("": none is concerned)  15 how to wake  16 pending entry ("": no mail is on its way)
--       17 read_silent_at_us
--   read, after:
--       10 lease token ("" stands for: nobody holds the lease)  11 attempt (0: that of the entry)  12 place
--       13 entry that becomes awaited ("": none)  14 lost_at_us  15 name of the copy
-- Returns {1} when recorded, {0} when it was recorded before or nobody waits for it, {-1} when the lease is lost.

local phase, pair, slot, level, message = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local result, now_us, has_read, outcome = ARGV[6], ARGV[7], ARGV[8] == '1', ARGV[9]
local poll = pair .. '#' .. ARGV[3]
local RESULTS, EVENTS, GAP = 100000, 20000, 1000
local KEPT, KEPT_S = 10000, 3600 -- settled messages and copies

local function poll_bookkeeping()
  if not redis.call('SET', KEYS[7], '1', 'NX', 'EX', ARGV[12]) then
    redis.call('ZREM', KEYS[6], poll)
    return 0
  end
  local grid = redis.call('HMGET', KEYS[1], 'slot', 'interval_us')
  local last = tonumber(grid[1] or '')
  if grid[2] and grid[2] ~= ARGV[10] then
    -- Slots are counted in intervals: with another interval they start anew, far below or above.
    redis.call('HDEL', KEYS[1], 'at:send', 'at:read', 'at:after', 'at:check')
    last = nil
  end
  if last and slot <= last then
    redis.call('ZREM', KEYS[6], poll)
    return 1
  end
  local missed = tonumber(ARGV[13])
  if last then
    -- Polls between the last one and this one may still be running: they are open until their silence counts.
    for passed = math.max(last + 1, slot - GAP), slot - 1 - missed do
      redis.call('ZADD', KEYS[6], 'NX', ARGV[11], pair .. '#' .. whole(passed))
    end
  end
  if missed > 0 then
    redis.call('HINCRBY', KEYS[1], 'n:' .. phase .. ':UNKNOWN', whole(missed))
  end
  redis.call('HSET', KEYS[1], 'slot', ARGV[3], 'interval_us', ARGV[10], 'reads', ARGV[8])
  redis.call('ZADD', KEYS[5], ARGV[11], pair)
  return 1
end

-- Adds to what is kept for a time and up to a number; whether it was not there.
local function keep(key, name)
  local at_us = clock_us()
  redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(at_us - KEPT_S * 1000000))
  local added = redis.call('ZADD', key, 'NX', whole(at_us), name)
  redis.call('ZREMRANGEBYRANK', key, 0, -KEPT - 1)
  redis.call('EXPIRE', key, KEPT_S)
  return added
end

local function settle(entry)
  local attempt = ARGV[11] ~= '0' and ARGV[11] or whole(cjson.decode(entry)[2])
  keep(KEYS[10], poll .. ' ' .. attempt .. ' ' .. ARGV[12])
end

local function read_bookkeeping()
  local entry = redis.call('HGET', KEYS[7], poll)
  if not entry then
    return 0
  end
  redis.call('HDEL', KEYS[7], poll)
  redis.call('ZREM', KEYS[5], pair .. '/read')
  if ARGV[13] ~= '' then
    redis.call('HSET', KEYS[8], poll, ARGV[13])
    redis.call('ZADD', KEYS[9], ARGV[14], poll)
  else
    settle(entry)
  end
  return 1
end

local function after_bookkeeping()
  if outcome == 'duplicated' then
    return keep(KEYS[11], ARGV[15])
  end
  local entry = redis.call('HGET', KEYS[8], poll)
  if not entry then
    return 0
  end
  redis.call('HDEL', KEYS[8], poll)
  redis.call('ZREM', KEYS[9], poll)
  if outcome ~= 'lost' then
    settle(entry)
  end
  return 1
end

local function bookkeeping()
  if phase == 'send' or phase == 'check' then
    return poll_bookkeeping()
  elseif not holds(KEYS[6], ARGV[10]) then
    return -1
  elseif phase == 'read' then
    return read_bookkeeping()
  end
  return after_bookkeeping()
end

-- The half of the round trip whose level this result is, or nil when it does not speak for the present: it was
-- overtaken by a later poll's, or is a read from beyond the last send, whose slot is of an interval that the
-- element had before. What comes after a read corrects that read alone.
local function half_spoken_for(is_newest)
  if phase ~= 'after' then
    return is_newest and phase or nil
  end
  return outcome ~= 'duplicated' and redis.call('HGET', KEYS[1], 'at:read') == ARGV[3] and 'read' or nil
end

local severity = { GOOD = 0, MARGINAL = 1, UNKNOWN = 2, FAILED = 3 }

-- The same rule as postbeat.grade.merged.
local function merged(send, read)
  if not has_read or send == 'UNKNOWN' or severity[send] >= severity[read] then
    return send
  end
  return read
end

local function level_now()
  local halves = redis.call('HMGET', KEYS[1], 'send', 'read')
  if phase == 'check' or (phase == 'send' and ARGV[16] == '' and not halves[2]) then
    return level -- no message is on its way, and nothing was ever read: there is only this to tell
  end
  return merged(halves[1] or 'UNKNOWN', halves[2] or 'UNKNOWN')
end

local taken = bookkeeping()
if taken ~= 1 then
  return { taken }
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', RESULTS, '*', 'r', result)

local sent = tonumber(redis.call('HGET', KEYS[1], 'slot') or '')
if not sent then
  return { 1 } -- a message of a pair that has left the profile since
end
redis.call('HINCRBY', KEYS[1], 'n:' .. phase .. ':' .. level, 1)
if outcome ~= '' then
  redis.call('HINCRBY', KEYS[1], 'n:outcome:' .. outcome, 1)
end

local newest = tonumber(redis.call('HGET', KEYS[1], 'at:' .. phase) or '-1')
local is_newest = newest <= slot and slot <= sent
if is_newest then
  redis.call('HSET', KEYS[1], 'at:' .. phase, ARGV[3])
  redis.call('HSET', KEYS[2], pair, result)
end
local told = redis.call('HMGET', KEYS[1], 'level', 'outcome')
local before, outcome_before = told[1] or 'UNKNOWN', told[2] or ''
local after = before
local is_news = phase == 'after' or outcome == 'out-of-order'
local half = half_spoken_for(is_newest)
if half then
  redis.call('HSET', KEYS[1], half, level)
  after = level_now()
  if after ~= before then
    redis.call('HSET', KEYS[1], 'level', after, 'since_us', now_us, 'why', message)
  elseif level == after and (half == 'read' or not has_read or level ~= 'GOOD') then
    -- The text of the half that the level comes from; where both are GOOD, that of the read, which says more.
    redis.call('HSET', KEYS[1], 'why', message)
  end
  if outcome ~= '' then
    redis.call('HSET', KEYS[1], 'outcome', outcome)
    is_news = is_news or (outcome ~= 'delivered' and outcome ~= outcome_before)
  end
end
if after ~= before or is_news then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', EVENTS, '*', 'pair', pair, 'was', before, 'level', after,
    'at_us', now_us, 'poll', poll, 'phase', phase, 'message', message, 'outcome', outcome)
end

if phase ~= 'send' and phase ~= 'check' or ARGV[14] == '' then
  return { 1 }
end
redis.call('HSET', KEYS[8], ARGV[14], ARGV[15])
if ARGV[16] ~= '' then
  redis.call('HSET', KEYS[9], poll, ARGV[16])
  redis.call('ZADD', KEYS[5], 'NX', ARGV[17], pair .. '/read')
  ring(KEYS[10], ARGV[14], ARGV[16])
end
return { 1 }
