-- What is known of a pair's past, as of one moment: the rollups, and the part of the log that is not in them.
--
-- KEYS  1 rollup hash   2 raw stream
-- ARGV  1 how many entries of the log at most, the oldest first
-- Returns {hours, days, upto, id of the last entry, figures of the entries}; what there is not is "".

local function of_pieces(name)
  local pieces, piece = {}, redis.call('HGET', KEYS[1], name)
  while piece do
    pieces[#pieces + 1] = piece
    piece = redis.call('HGET', KEYS[1], name .. ':' .. #pieces)
  end
  return table.concat(pieces)
end

local upto = redis.call('HGET', KEYS[1], 'upto') or ''
local entries = redis.call('XRANGE', KEYS[2], upto == '' and '-' or '(' .. upto, '+', 'COUNT', ARGV[1])
local last, figures = '', {}
for place, entry in ipairs(entries) do
  last = entry[1]
  figures[place] = entry[2][2]
end
return { of_pieces('hours'), of_pieces('days'), upto, last, figures }
