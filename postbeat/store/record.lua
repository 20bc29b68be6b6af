-- Records the result of one phase of a poll, once. All that follows from it happens here, in one step: the count,
-- the log of figures, the latest result, the level (compare and set), the next expected time, where the message
-- stands, the verdict on the element, and events when a level or the verdict changed or the outcome is news.
--
-- KEYS  1 pair            hash   what is known of this element in this region
--       2 latest          hash   pair -> latest result of this phase
--       3 results         stream
--       4 events          stream
--       5 expected        zset   pair, pair/read -> the time from which its silence counts
--       6 raw             stream the pair's figures         7 timing  hash   its histograms
--       8 states          hash   pair -> short state        9 notable list   its results that are worth a look
--      10 verdicts        hash   element -> verdict
--   send, check:
--      11 open            zset   polls passed over by a later one -> the time from which their silence counts
--      12 seen            string of this poll
--      13 mailboxes       hash   mailbox -> how to wake its reader
--      14 pending         hash   poll -> what the reader needs       15 lease string
--   read, after:
--      11 lease           string of the mailbox
--      12 pending         hash   13 awaited hash   14 lost-at zset   15 settled list   16 copies zset
-- ARGV  1 phase  2 pair  3 slot  4 level  5 message  6 result  7 now_us  8 has_read (1|0)  9 outcome  10 kind
--      11 figures  12 nothing more of this poll comes (1|0)  13, 14, 15 the fault's stage, code, side ("": none)
--      16 responseTime  17 uploadTime  18 timeToDeliver  19 totalTime  20 end of the certificate ("": unknown), in us
--   send, check:
--      21 interval_us  22 silent_at_us  23 seen_for_s  24 silent polls more than this one
--      25 mailbox ("": none is concerned)  26 how to wake  27 pending entry ("": no mail is on its way)
--      28 read_silent_at_us  29 quorum  30 confirmpolls
--   read, after:
--      21 lease token ("" stands for: nobody holds the lease)  22 attempt (0: that of the entry)  23 place
--      24 entry that becomes awaited ("": none)  25 lost_at_us  26 name of the copy  27 to 30 unused
--   31 ... field and increment of the histograms
-- Returns {1} when recorded, {0} when it was recorded before or nobody waits for it, {-1} when the lease is lost.

local phase, pair, slot, level, message = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local result, now_us, has_read, outcome = ARGV[6], ARGV[7], ARGV[8] == '1', ARGV[9]
local poll = pair .. '#' .. ARGV[3]
local starts_poll = phase == 'send' or phase == 'check'
local words = { message, phase, ARGV[13], ARGV[14], ARGV[15] } -- what this result says: as told of the pair
local RESULTS, EVENTS, RAW, NOTABLE, GAP = 10000, 20000, 20000, 4, 1000
local KEPT, KEPT_S = 10000, 3600 -- settled messages and copies
local quorum_changed = false

-- Polls between the last one and this one may still be running: they are open until their silence counts.
local function open_passed(last, missed)
  for passed = math.max(last + 1, slot - GAP), slot - 1 - missed do
    redis.call('ZADD', KEYS[11], 'NX', ARGV[22], pair .. '#' .. whole(passed))
  end
end

local function poll_bookkeeping()
  if not redis.call('SET', KEYS[12], '1', 'NX', 'EX', ARGV[23]) then
    redis.call('ZREM', KEYS[11], poll)
    return 0
  elseif state.left then
    return 1
  end
  local last = tonumber(state.slot or '')
  if state.interval_us and state.interval_us ~= ARGV[21] then
    -- Slots are counted in intervals: with another interval they start anew, far below or above.
    for _, name in ipairs({ 'at:send', 'at:read', 'at:after', 'at:check', 'at:poll' }) do
      redis.call('HDEL', KEYS[1], name)
      state[name] = nil
    end
    last = nil
  end
  if last and slot <= last then
    redis.call('ZREM', KEYS[11], poll)
    return 1
  end
  local missed = tonumber(ARGV[24])
  if last then
    open_passed(last, missed)
  else
    redis.call('PERSIST', KEYS[6]) -- of a pair that is back in the profile
  end
  if missed > 0 then
    add('n:' .. phase .. ':UNKNOWN', missed)
  end
  quorum_changed = state.quorum ~= ARGV[29]
  set('slot', ARGV[3])
  set('interval_us', ARGV[21])
  set('reads', ARGV[8])
  set('quorum', ARGV[29])
  set('confirmpolls', ARGV[30])
  redis.call('ZADD', KEYS[5], ARGV[22], pair)
  return 1
end

-- Keeps the name of a further copy for a time, and up to a number of them; whether it was not there.
local function keep_copy(key, name)
  local at_us = clock_us()
  redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(at_us - KEPT_S * 1000000))
  local added = redis.call('ZADD', key, 'NX', whole(at_us), name)
  redis.call('ZREMRANGEBYRANK', key, 0, -KEPT - 1)
  redis.call('EXPIRE', key, KEPT_S)
  return added
end

-- Each message is settled once, in the order of time: a list says so in a third of a sorted set's memory.
local function settle(entry)
  local key, now_s = KEYS[15], math.floor(clock_us() / 1000000)
  local attempt = ARGV[22] ~= '0' and ARGV[22] or whole(cjson.decode(entry)[2])
  redis.call('RPUSH', key, whole(now_s) .. ' ' .. poll .. ' ' .. attempt .. ' ' .. ARGV[23])
  redis.call('LTRIM', key, -KEPT, -1)
  while tonumber(string.match(redis.call('LINDEX', key, 0), '^%d+')) < now_s - KEPT_S do
    redis.call('LPOP', key)
  end
  redis.call('EXPIRE', key, KEPT_S)
end

local function read_bookkeeping()
  local entry = redis.call('HGET', KEYS[12], poll)
  if not entry then
    return 0
  end
  redis.call('HDEL', KEYS[12], poll)
  redis.call('ZREM', KEYS[5], pair .. '/read')
  if ARGV[24] ~= '' then
    redis.call('HSET', KEYS[13], poll, ARGV[24])
    redis.call('ZADD', KEYS[14], ARGV[25], poll)
  else
    settle(entry)
  end
  return 1
end

local function after_bookkeeping()
  if outcome == 'duplicated' then
    return keep_copy(KEYS[16], ARGV[26])
  end
  local entry = redis.call('HGET', KEYS[13], poll)
  if not entry then
    return 0
  end
  redis.call('HDEL', KEYS[13], poll)
  redis.call('ZREM', KEYS[14], poll)
  if outcome ~= 'lost' then
    settle(entry)
  end
  return 1
end

local function bookkeeping()
  if starts_poll then
    return poll_bookkeeping()
  elseif not holds(KEYS[11], ARGV[21]) then
    return -1
  elseif phase == 'read' then
    return read_bookkeeping()
  end
  return after_bookkeeping()
end

-- Every result of a pair counts, in whatever order results come.
local function count()
  add('n:' .. phase .. ':' .. level, 1)
  if outcome ~= '' then
    add('n:outcome:' .. outcome, 1)
  end
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', RAW, '*', 'f', ARGV[11])
  for place = 31, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[7], ARGV[place], ARGV[place + 1])
  end
end

-- The half of the round trip whose level this result is, or nil when it does not speak for the present: it was
-- overtaken by a later poll's, or is a read from beyond the last send, whose slot is of an interval that the
-- element had before. What comes after a read corrects that read alone.
local function half_spoken_for(is_newest)
  if phase ~= 'after' then
    return is_newest and phase or nil
  end
  return outcome ~= 'duplicated' and state['at:read'] == ARGV[3] and 'read' or nil
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
  if phase == 'check' or (phase == 'send' and ARGV[27] == '' and not state.read) then
    return level -- no message is on its way, and nothing was ever read: there is only this to tell
  end
  return merged(state.send or 'UNKNOWN', state.read or 'UNKNOWN')
end

local function tell(short, told)
  short[WHY], short[PHASE], short[STAGE], short[CODE], short[SIDE] = unpack(told)
end

-- While a half is not GOOD its words are kept: the level may be its own when a result of the other half comes.
local function keep_words(half)
  local name = 'words:' .. half
  if level ~= 'GOOD' then
    set(name, cjson.encode(words))
  elseif state[name] then
    set(name, '')
  end
end

-- The words of the half that a level comes from, of both those of this result; nil where that half has none.
local function words_for(half, after)
  if level == after then
    return words
  end
  local other = half == 'send' and 'read' or 'send'
  local kept = state[other] == after and state['words:' .. other] or ''
  return kept ~= '' and cjson.decode(kept) or nil
end

-- The first end of a certificate of the server that is polled and of the mailbox's; each is known until its server
-- shows another one.
local function take_certificate(short)
  if ARGV[20] ~= '' then
    set(starts_poll and 'expires_at_us' or 'read_expires_at_us', ARGV[20])
  end
  local ours, other = state.expires_at_us, has_read and state.read_expires_at_us
  if ours and other and tonumber(other) < tonumber(ours) then
    ours = other
  end
  short[EXPIRES] = ours or other or short[EXPIRES]
end

-- The newest figures of each half.
local function take_figures(short, half)
  if starts_poll then
    short[RESPONSE] = tonumber(ARGV[16]) or cjson.null
    short[UPLOAD] = tonumber(ARGV[17]) or cjson.null
    short[TOTAL] = tonumber(ARGV[19]) or cjson.null
  elseif half then
    short[DELIVER] = tonumber(ARGV[18]) or cjson.null
  end
  take_certificate(short)
end

-- Returns the level of the pair before and after this result, and the words of the half that it comes from, or nil.
local function take_level(short, half)
  local before = state.level or 'UNKNOWN'
  if not half then
    return before, before
  end
  set(half, level)
  keep_words(half)
  local after = level_now()
  local told = words_for(half, after)
  if after ~= before then
    set('level', after)
    tell(short, told or words)
  elseif told and (half == 'read' or not has_read or after ~= 'GOOD') then
    tell(short, told) -- where both halves are GOOD, the words of the read, which say more
  end
  if after ~= before or not state.since_us then
    set('since_us', now_us)
  end
  return before, after, told
end

-- A poll counts when nothing more of it comes; what comes after all corrects the last one that was counted.
local function take_poll(half, before, after)
  if not half then
    return
  elseif phase ~= 'after' then
    if ARGV[12] == '1' and slot > tonumber(state['at:poll'] or '-1') then
      count_poll(ARGV[3], after, now_us)
    end
  elseif after ~= before and state['at:poll'] == ARGV[3] then
    correct_poll(after, now_us)
  end
end

local function append_event(before, after, told)
  local text, told_phase, stage, code, side = unpack(told)
  local entry = { 'pair', pair, 'was', before, 'level', after, 'at_us', now_us, 'poll', poll, 'phase', told_phase,
    'message', text, 'outcome', outcome }
  if code ~= '' then
    for _, part in ipairs({ 'stage', stage, 'code', code, 'side', side }) do
      entry[#entry + 1] = part
    end
  end
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', EVENTS, '*', unpack(entry))
end

local function keep_short(short)
  short[KIND] = starts_poll and ARGV[10] or 'smtp' -- only mail that was sent is read
  if starts_poll then
    short[POLLS] = short[POLLS] + 1 + tonumber(ARGV[24])
  end
  if short[AT] == cjson.null or tonumber(short[AT]) < tonumber(now_us) then
    short[AT] = now_us
  end
  short[LEVEL], short[SINCE] = state.level or 'UNKNOWN', text_or_null(state.since_us)
  short[OUTCOME], short[CONFIRMED] = text_or_null(state.outcome), state.confirmed or 'UNKNOWN'
  short[FAILURES], short[FAILED_SINCE] = tonumber(state.failures or '0'), text_or_null(state.failed_since_us)
  redis.call('HSET', KEYS[8], pair, cjson.encode(short))
end

-- The standing of a pair that is in the profile, and the events.
local function standing()
  local newest = tonumber(state['at:' .. phase] or '-1')
  local is_newest = newest <= slot and slot <= tonumber(state.slot)
  if is_newest then
    set('at:' .. phase, ARGV[3])
    redis.call('HSET', KEYS[2], pair, result)
  end
  local half, short = half_spoken_for(is_newest), load_short(KEYS[8], pair)
  local confirmed = state.confirmed
  local before, after, told = take_level(short, half)
  take_poll(half, before, after)
  local is_news = phase == 'after' or outcome == 'out-of-order'
  if half and outcome ~= '' then
    is_news = is_news or (outcome ~= 'delivered' and outcome ~= (state.outcome or ''))
    set('outcome', outcome)
  end
  if is_newest or half then
    take_figures(short, half)
  end
  keep_short(short)
  save_state(KEYS[1])
  if after ~= before or is_news then
    append_event(before, after, not is_news and told or words)
  end
  if after ~= before or level ~= 'GOOD' then
    redis.call('LPUSH', KEYS[9], result)
    redis.call('LTRIM', KEYS[9], 0, NOTABLE - 1)
  end
  if state.confirmed and (state.confirmed ~= confirmed or quorum_changed) then
    local element, region = string.match(pair, '^(.*)@(.*)$')
    local quorum = (quorum_changed or not confirmed) and state.quorum or nil
    local cause = { poll = poll, at_us = now_us, message = short[WHY] }
    vote(KEYS[10], KEYS[4], KEYS[8], element, region, state.confirmed, quorum, cause)
  end
end

load_state(KEYS[1])
local taken = bookkeeping()
if taken ~= 1 then
  return { taken }
end
-- What was under way when its pair left the profile is nobody's any more; but its message is still to be found.
if not state.left then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', RESULTS, '*', 'r', result)
end
if state.slot then
  count()
  standing()
end

if not starts_poll or ARGV[25] == '' then
  return { 1 }
end
redis.call('HSET', KEYS[13], ARGV[25], ARGV[26])
if ARGV[27] ~= '' then
  redis.call('HSET', KEYS[14], poll, ARGV[27])
  if not state.left then
    redis.call('ZADD', KEYS[5], 'NX', ARGV[28], pair .. '/read')
  end
  ring(KEYS[15], ARGV[25], ARGV[27])
end
return { 1 }
