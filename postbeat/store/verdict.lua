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

-- Takes the vote of a region: its confirmed level, or nil where it has none any more. Appends an event when the
-- verdict changes, and forgets an element without regions.
--
-- cause: what brought it about: poll, at_us, message. quorum: nil stands for the one that was in force before.
local function vote(verdicts, events, element, region, level, quorum, cause)
  local text = redis.call('HGET', verdicts, element)
  local known = text and cjson.decode(text) or { verdict = 'UNKNOWN', quorum = 'majority', regions = {} }
  known.regions[region] = level
  quorum = quorum or known.quorum
  local was, now = known.verdict, verdict_of(known.regions, quorum)
  local since_us = type(known.since_us) == 'number' and whole(known.since_us) or 'null'
  local levels = cjson.encode(known.regions)
  if now ~= was then
    since_us = cause.at_us
    redis.call('XADD', events, 'MAXLEN', '~', 20000, '*', 'kind', 'verdict', 'element', element, 'was', was,
      'verdict', now, 'at_us', since_us, 'poll', cause.poll, 'regions', levels, 'message', cause.message)
  end
  if next(known.regions) == nil then
    redis.call('HDEL', verdicts, element)
    return
  end
  quorum = tonumber(quorum) and whole(quorum) or '"' .. quorum .. '"'
  redis.call('HSET', verdicts, element, '{"verdict":"' .. now .. '","since_us":' .. since_us ..
    ',"quorum":' .. quorum .. ',"regions":' .. levels .. '}')
end
