-- Claims the stretch of the grid up to now for one beat: every stretch is claimed once, so no poll is fired
-- twice, whatever the number of beats and however often they start.
-- KEYS 1 cursor string  2 pause string  3... cursors of all beats
-- ARGV 1 what is caught up after a pause, in us  2 how many pauses are kept
-- Returns {where the stretch begins ("" at the very first claim), now}, in us.
local now_us = clock_us()
local cursor = redis.call('GET', KEYS[1])
local fired_us = tonumber(cursor or '0')
if not cursor then
  -- Polls that no beat of this kind ever fired, another one may have fired until it ended.
  for place = 3, #KEYS do
    fired_us = math.max(fired_us, tonumber(redis.call('GET', KEYS[place]) or '0'))
  end
end
if not cursor or fired_us < now_us then
  redis.call('SET', KEYS[1], whole(now_us))
end
if fired_us > 0 and now_us - fired_us > tonumber(ARGV[1]) then
  local pauses = {}
  for pause in string.gmatch(redis.call('GET', KEYS[2]) or '', '%d+ %d+') do
    pauses[#pauses + 1] = pause
  end
  pauses[#pauses + 1] = whole(fired_us) .. ' ' .. whole(now_us)
  redis.call('SET', KEYS[2], table.concat(pauses, ' ', math.max(1, #pauses - tonumber(ARGV[2]) + 1)))
end
return { cursor or '', whole(now_us) }
