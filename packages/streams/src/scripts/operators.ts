import { Script } from '../script.ts';

/* What operators ask for. */

/**
 * One look at a stream and its group. KEYS stream, later, dead; ARGV group, samples, most entries to count.
 * Answers now, length, bytes, parked, due of the first parked, dead, groups, and of the group lag, pending, oldest pending, consumers.
 */
export const lagScript = new Script(`#!lua flags=no-writes
local stream, later = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local due = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')[2]
local look = { time[1] * 1000 + math.floor(time[2] / 1000), redis.call('XLEN', stream),
  redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', ARGV[2]) or 0,
  redis.call('ZCARD', later), due or '', redis.call('XLEN', KEYS[3]) }
if redis.call('EXISTS', stream) == 0 then look[7] = 0 return look end
local groups = redis.call('XINFO', 'GROUPS', stream)
look[7] = #groups
for _, group in ipairs(groups) do
  local of = {}
  for i = 1, #group, 2 do of[group[i]] = group[i + 1] end
  if of.name == ARGV[1] then
    local lag = of.lag
    if not lag then
      local limit = tonumber(ARGV[3])
      local left = #redis.call('XRANGE', stream, '(' .. of['last-delivered-id'], '+', 'COUNT', limit)
      lag = left < limit and left or -1
    end
    local pending = redis.call('XPENDING', stream, ARGV[1])
    look[8], look[9], look[10], look[11] = lag, pending[1], pending[2] or '', of.consumers
  end
end
return look`);

/** Moves letters back to the streams they came from. KEYS dead, streams…; ARGV number of marks, ids. Answers how many. */
export const requeueScript = new Script(`#!lua flags=allow-oom
local count = 0
for at = 2, #ARGV do
  local id = ARGV[at]
  local letter = redis.call('XRANGE', KEYS[1], id, id)[1]
  if letter then
    local fields = letter[2]
    local own = #fields - ARGV[1] * 2
    local source
    for i = own + 1, #fields, 2 do
      if fields[i] == 'source' then source = fields[i + 1] end
    end
    for i = 2, #KEYS do
      if KEYS[i] == source then
        redis.call('XADD', source, '*', unpack(fields, 1, own))
        redis.call('XDEL', KEYS[1], id)
        count = count + 1
      end
    end
  end
end
return count`);
