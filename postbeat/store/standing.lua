-- Where a pair stands: its hash while a script works on it, the row of its polls' levels, and the short state.

local state, changes = {}, {}

-- All of it at once: it is small, and a field alone is found no faster than all.
local function load_state(key)
  local fields = redis.call('HGETALL', key)
  for place = 1, #fields, 2 do
    state[fields[place]] = fields[place + 1]
  end
end

local function set(name, value)
  if state[name] ~= value then
    state[name] = value
    changes[#changes + 1] = name
    changes[#changes + 1] = value
  end
end

local function add(name, count)
  set(name, whole(tonumber(state[name] or '0') + count))
end

local function save_state(key)
  if #changes > 0 then
    redis.call('HSET', key, unpack(changes))
  end
end

-- A row of failed polls ends with one that is GOOD or MARGINAL; one that is UNKNOWN tells nothing of it.
local function count_failures(level, at_us)
  if level == 'FAILED' then
    add('failures', 1)
    if state.failures == '1' then
      set('failed_since_us', at_us)
    end
  elseif level ~= 'UNKNOWN' then
    set('failures', '0')
    set('failed_since_us', '')
  end
end

-- The confirmed level is that of the last polls that tell anything, once they are enough; the very first of them
-- counts at once. Silence takes a region's vote away at once, for it is no news and not bad news, and leaves the
-- row as it is: the first news after it gives back the vote that was hidden, or another one if the row is enough.
-- After silence that is as long as such a row, what was before is no news any more: the first news counts at once.
local function confirm(level)
  local confirmed, polls = state.confirmed, tonumber(state.confirmpolls or '1')
  if level == 'UNKNOWN' then
    if confirmed and confirmed ~= 'UNKNOWN' then
      set('hidden', confirmed)
      set('silent', '0')
    end
    add('silent', 1)
    set('confirmed', 'UNKNOWN')
    return
  elseif confirmed == 'UNKNOWN' then
    confirmed = tonumber(state.silent or '0') < polls and state.hidden or nil
  end
  local enough = tonumber(state.streak) >= polls
  set('confirmed', (enough or not confirmed) and level or confirmed)
end

-- A poll that is UNKNOWN neither goes on with the row of polls of one level nor ends it.
local function take_into_row(level, at_us)
  if level == state.streak_level then
    add('streak', 1)
  elseif level ~= 'UNKNOWN' then
    set('streak_before', (state.streak_level or 'UNKNOWN') .. ' ' .. (state.streak or '0'))
    set('streak_level', level)
    set('streak', '1')
  end
  count_failures(level, at_us)
  confirm(level)
end

-- A further poll has this level.
local function count_poll(slot, level, at_us)
  set('at:poll', slot)
  take_into_row(level, at_us)
end

-- The last poll that was counted may have another level than was said of it: the row before it goes on or ends.
local function correct_poll(level, at_us)
  local was = state.confirmed == 'UNKNOWN' and 'UNKNOWN' or state.streak_level
  if level == was then
    return
  elseif was == 'UNKNOWN' then
    add('silent', -1)
  else
    add('streak', -1)
    if state.streak == '0' then
      local before, count = string.match(state.streak_before, '^(%S+) (%d+)$')
      set('streak_level', before)
      set('streak', count)
    end
  end
  take_into_row(level, at_us)
end

-- The places of the short state; postbeat.store.summary reads it. Instants are texts: cjson would cut them.
local KIND, LEVEL, SINCE, AT, WHY, PHASE, STAGE, CODE, SIDE, OUTCOME = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local RESPONSE, UPLOAD, DELIVER, TOTAL, FAILURES, FAILED_SINCE = 11, 12, 13, 14, 15, 16
local CONFIRMED, EXPIRES, POLLS = 17, 18, 19

local function load_short(key, pair)
  local text = redis.call('HGET', key, pair)
  if text then
    return cjson.decode(text)
  end
  local short = { [WHY] = 'No result yet', [STAGE] = '', [CODE] = '', [SIDE] = '', [POLLS] = 0 }
  for place = 1, POLLS do
    short[place] = short[place] or cjson.null
  end
  return short
end

-- A text, or null where it is empty or there is none.
local function text_or_null(text)
  return text and text ~= '' and text or cjson.null
end
