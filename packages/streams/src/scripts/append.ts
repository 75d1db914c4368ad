import { Script } from '../script.ts';

/**
 * Appends a batch unless the stream is at its mark.
 * KEYS stream, later, producer, guard (the stream again where there is none), …; ARGV mark, mark bytes, memory share,
 * samples (0 = do not measure), number of this batch, of the last confirmed one, what the guard must hold (or ''),
 * n, n × (count, fields…), m, m × (count, command…).
 * Answers `ok`, the first id and, if measured, how many bytes there is room for; or `rewound`, `fenced`; or the pressure.
 */
export const appendScript = new Script(`#!lua
local stream, later, producer = KEYS[1], KEYS[2], KEYS[3]
local at = 8
local function take()
  local from = at + 1
  at = from + tonumber(ARGV[from])
  return unpack(ARGV, from + 1, at)
end
local number, first = string.match(redis.call('GET', producer) or '', '^(%S+) (%S+)$')
if number == ARGV[5] then return {'ok', first} end
if ARGV[7] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[7] then return {'fenced'} end
if (tonumber(number) or 0) < tonumber(ARGV[6]) then return {'rewound'} end
local room
if tonumber(ARGV[8]) > 0 then
  if redis.call('XLEN', stream) + redis.call('ZCARD', later) >= tonumber(ARGV[1]) then return {'entries'} end
  local samples = tonumber(ARGV[4])
  if samples > 0 then
    local bytes = (redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', samples) or 0)
      + (redis.call('MEMORY', 'USAGE', later, 'SAMPLES', samples) or 0)
    room = tonumber(ARGV[2]) - bytes
    if room <= 0 then return {'bytes'} end
    local info = redis.call('INFO', 'memory')
    local max = tonumber(string.match(info, '[\\r\\n]maxmemory:(%d+)'))
    local used = tonumber(string.match(info, '[\\r\\n]used_memory:(%d+)'))
    if max and max > 0 then room = math.min(room, max * tonumber(ARGV[3]) - used) end
    if room <= 0 then return {'memory'} end
  end
end
first = ''
for i = 1, tonumber(ARGV[8]) do
  if i == 1 then
    first = redis.call('XADD', stream, '*', take())
  else
    redis.call('XADD', stream, string.match(first, '^%d+') .. '-*', take())
  end
end
redis.call('SET', producer, ARGV[5] .. ' ' .. (first == '' and '-' or first), 'EX', 3600)
at = at + 1
for i = 1, tonumber(ARGV[at]) do redis.call(take()) end
return {'ok', first, room}`);
