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

-- The confirmed level is that of the last polls, once they are enough. Silence takes a region's vote away at
-- once, for it is no news and not bad news; and the first news after it counts at once as well.
local function confirm()
  local confirmed, level = state.confirmed or 'UNKNOWN', state.streak_level
  local enough = tonumber(state.streak) >= tonumber(state.confirmpolls or '1')
  if not state.confirmed or (level ~= confirmed and (enough or level == 'UNKNOWN' or confirmed == 'UNKNOWN')) then
    set('confirmed', level)
  end
end

-- A further poll has this level.
local function count_poll(slot, level, at_us)
  set('at:poll', slot)
  if level == state.streak_level then
    add('streak', 1)
  else
    set('streak_before', (state.streak_level or 'UNKNOWN') .. ' ' .. (state.streak or '0'))
    set('streak_level', level)
    set('streak', '1')
  end
  count_failures(level, at_us)
  confirm()
end

-- The last poll that was counted has another level than was said of it: the row before it goes on or ends.
local function correct_poll(level, at_us)
  local was, count = state.streak_level, tonumber(state.streak) - 1
  if count == 0 then
    was, count = string.match(state.streak_before, '^(%S+) (%d+)$')
    count = tonumber(count)
  end
  if level == was then
    set('streak', whole(count + 1))
  else
    set('streak_before', was .. ' ' .. whole(count))
    set('streak', '1')
  end
  set('streak_level', level)
  count_failures(level, at_us)
  confirm()
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
