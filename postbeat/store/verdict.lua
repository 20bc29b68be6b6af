-- The verdict on an element over its regions.

-- The same rule as postbeat.verdict.verdict_of.
local function verdict_of(regions, quorum)
  local fresh, failed, good = 0, 0, 0
  for _, level in pairs(regions) do
    if level ~= 'UNKNOWN' then
      fresh = fresh + 1
      failed = failed + (level == 'FAILED' and 1 or 0)
      good = good + (level == 'GOOD' and 1 or 0)
    end
  end
  if fresh == 0 then
    return 'UNKNOWN'
  end
  local needed = tonumber(quorum) or ({ any = 1, majority = math.floor(fresh / 2) + 1, all = fresh })[quorum]
  if failed >= needed then
    return 'FAILED'
  end
  return good == fresh and 'GOOD' or 'DEGRADED'
end

-- Of so many regions it is kept why they are not GOOD, in a message of so many bytes: an event stays small.
local REASONS, MESSAGE_BYTES = 10, 200
local RANK = { FAILED = 1, MARGINAL = 2, UNKNOWN = 3 }

-- A message of bounded size, cut between two characters.
local function bounded(message)
  if #message <= MESSAGE_BYTES then
    return message
  end
  return (string.gsub(string.sub(message, 1, MESSAGE_BYTES - 3), '[\192-\255][\128-\191]*$', '')) .. '…'
end

-- Why a pair has a level, by its short state; nil where that tells of another one, or none can be read.
local function reason_of(text, level)
  local short = cjson.decode(text)
  if short[LEVEL] == level then
    return { level, short[PHASE], short[STAGE], short[CODE], short[SIDE], bounded(short[WHY]) }
  end
end

-- Why each region has the level that counts where that is not GOOD, the worst ones first. What was known of a
-- level still holds while the newest result of its region has another level, which does not count yet.
local function reasons_of(states, element, regions, known)
  local names, pairs_of, reasons = {}, {}, {}
  for region, level in pairs(regions) do
    if level ~= 'GOOD' then
      names[#names + 1] = region
    end
  end
  table.sort(names, function(one, other)
    local rank, than = RANK[regions[one]], RANK[regions[other]]
    return rank < than or (rank == than and one < other)
  end)
  for place = 1, math.min(#names, REASONS) do
    pairs_of[place] = element .. '@' .. names[place]
  end
  local texts = #pairs_of > 0 and redis.call('HMGET', states, unpack(pairs_of)) or {}
  for place, text in ipairs(texts) do
    local region, level = names[place], regions[names[place]]
    -- One region's state may be damaged, or a later version's: that must not keep others from being recorded.
    local is_read, reason = pcall(reason_of, text, level)
    if is_read and reason then
      reasons[region] = reason
    elseif known[region] and known[region][1] == level then
      reasons[region] = known[region]
    end
  end
  return reasons
end

-- Takes the vote of a region: its confirmed level, or nil where it has none any more. Appends an event when the
-- verdict changes, and forgets an element without regions.
--
-- cause: what brought it about: poll, at_us, message. quorum: nil stands for the one that was in force before.
local function vote(verdicts, events, states, element, region, level, quorum, cause)
  local text = redis.call('HGET', verdicts, element)
  local known = text and cjson.decode(text) or { verdict = 'UNKNOWN', quorum = 'majority', regions = {} }
  known.regions[region] = level
  quorum = quorum or known.quorum
  local was, now = known.verdict, verdict_of(known.regions, quorum)
  local since_us = type(known.since_us) == 'number' and whole(known.since_us) or level and cause.at_us or 'null'
  local levels = cjson.encode(known.regions)
  local reasons = cjson.encode(reasons_of(states, element, known.regions, known.reasons or {}))
  if now ~= was then
    since_us = cause.at_us
    redis.call('XADD', events, 'MAXLEN', '~', 20000, '*', 'kind', 'verdict', 'element', element, 'was', was,
      'verdict', now, 'at_us', since_us, 'poll', cause.poll, 'regions', levels, 'message', cause.message,
      'reasons', reasons)
  end
  if next(known.regions) == nil then
    redis.call('HDEL', verdicts, element)
    return
  end
  quorum = tonumber(quorum) and whole(quorum) or '"' .. quorum .. '"'
  redis.call('HSET', verdicts, element, '{"verdict":"' .. now .. '","since_us":' .. since_us ..
    ',"quorum":' .. quorum .. ',"regions":' .. levels .. ',"reasons":' .. reasons .. '}')
end
