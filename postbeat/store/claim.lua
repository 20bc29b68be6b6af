-- Claims the stretch of the grid up to now for one beat: every stretch is claimed once, so no poll is fired
-- twice, whatever the number of beats and however often they start.
-- KEYS 1 cursor string      Returns {where the stretch begins ("" at the very first claim), now}, in us.
local now_us = clock_us()
local cursor = redis.call('GET', KEYS[1])
if not cursor or tonumber(cursor) < now_us then
  redis.call('SET', KEYS[1], whole(now_us))
end
return { cursor or '', whole(now_us) }
