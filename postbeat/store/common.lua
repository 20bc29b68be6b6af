-- What the scripts share.

-- The one clock, in microseconds since the epoch.
local function clock_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- A whole number as text: Lua itself writes large ones with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

-- Whether a token is that of a mailbox's lease; the empty one stands for: nobody holds it.
local function holds(lease, token)
  return (redis.call('GET', lease) or '') == token
end

-- Tells the worker process that holds a mailbox's lease that there is something to do: an entry has become
-- pending, or ("") a check wants the mailbox.
local function ring(lease, mailbox, entry)
  local token = redis.call('GET', lease)
  if token then
    redis.call('PUBLISH', 'postbeat:bell:' .. string.match(token, '^[^.]*'), mailbox .. '\n' .. entry)
  end
end
