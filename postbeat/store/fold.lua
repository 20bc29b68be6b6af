-- Takes over what was folded into the rollups of a pair, unless another folder was faster.
--
-- KEYS  1 rollup hash   2 raw stream
-- ARGV  1 upto as it was read ("": none)   2 upto from now on: the last entry that is in the rollups
--       3 hours   4 days   5 the entries that were folded, packed
--       6 for how long rollups are kept, in s   7 for how long single results are, in s
--       8 how many entries stay in the log although they are folded
-- Returns 1, or 0 when the rollups have changed since they were read.

local REWRITTEN = 50 -- entries of a log, at most
local LOG_S = 7 * 86400 -- for how long a log is kept in which nothing comes any more
-- Memory is given out in these sizes, and up to a fifth of a large value's would be spare: so it is kept in pieces
-- that fill them. HEAD bytes of each are Redis's own.
local SIZES = { 16384, 14336, 12288, 10240, 8192, 7168, 6144, 5120, 4096, 3584, 3072, 2560, 2048, 1536, 1024, 512 }
local HEAD = 6

local function size_of_piece(left)
  for _, size in ipairs(SIZES) do
    if size - HEAD <= left then
      return size - HEAD
    end
  end
  return left
end

local function set_in_pieces(name, value)
  local field, number, first = name, 0, 1
  while first <= #value do
    local size = size_of_piece(#value - first + 1)
    redis.call('HSET', KEYS[1], field, string.sub(value, first, first + size - 1))
    first, number = first + size, number + 1
    field = name .. ':' .. number
  end
  while redis.call('HDEL', KEYS[1], field) == 1 do
    number = number + 1
    field = name .. ':' .. number
  end
end

local function forget_old_stretches()
  local oldest_ms = math.floor(clock_us() / 1000) - tonumber(ARGV[7]) * 1000
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local last_ms = tonumber(string.match(field, '^log:(%d+)') or '')
    if last_ms and last_ms < oldest_ms then
      redis.call('HDEL', KEYS[1], field)
    end
  end
end

-- Leaves the entries from an id on. A trimmed stream keeps its first block of 4 KB, whatever is left in it: where
-- little is left, it is written anew.
local function trim_log(first)
  local left = redis.call('XRANGE', KEYS[2], first, '+', 'COUNT', REWRITTEN + 1)
  if #left > REWRITTEN then
    redis.call('XTRIM', KEYS[2], 'MINID', first)
    return
  end
  redis.call('DEL', KEYS[2])
  for _, entry in ipairs(left) do
    redis.call('XADD', KEYS[2], entry[1], unpack(entry[2]))
  end
end

if (redis.call('HGET', KEYS[1], 'upto') or '') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'upto', ARGV[2], 'log:' .. ARGV[2], ARGV[5])
set_in_pieces('hours', ARGV[3])
set_in_pieces('days', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[6])
forget_old_stretches()
local staying = redis.call('XREVRANGE', KEYS[2], ARGV[2], '-', 'COUNT', ARGV[8])
if #staying > 0 then
  trim_log(staying[#staying][1])
end
redis.call('EXPIRE', KEYS[2], LOG_S)
return 1
