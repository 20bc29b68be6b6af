-- The results of a pair since a moment, folded or not, as of one moment.
--
-- KEYS  1 rollup hash   2 raw stream
-- ARGV  1 since when, in ms   2 how many entries of the log at most, the newest first
-- Returns {stretches of folded entries, oldest first; figures of those that are not, newest first}.

local stretches = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local last_ms = tonumber(string.match(field, '^log:(%d+)') or '-1')
  if last_ms >= tonumber(ARGV[1]) then
    stretches[#stretches + 1] = { last_ms, field }
  end
end
table.sort(stretches, function(one, other)
  return one[1] < other[1]
end)
local packed, figures = {}, {}
local upto = redis.call('HGET', KEYS[1], 'upto')
for place, stretch in ipairs(stretches) do
  packed[place] = redis.call('HGET', KEYS[1], stretch[2])
end
for place, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', upto and '(' .. upto or '-', 'COUNT', ARGV[2])) do
  figures[place] = entry[2][2]
end
return { packed, figures }
