import { Script } from '../script.ts';
import { forget, ownerOf } from './parts.ts';

/* What a consumer does for its group and stream. */

/**
 * Makes a group that begins at the stream's start, and the stream; also in a full Redis, for
 * nobody could empty it otherwise. KEYS stream; ARGV group. Answers 1, or 0 where it is there already.
 */
export const groupScript = new Script(`#!lua flags=allow-oom
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if not answer.err then return 1 end
return string.match(answer.err, '^BUSYGROUP') and 0 or answer`);

/**
 * Takes over entries that nobody has touched for a while.
 * KEYS stream, attempts, later; ARGV group, consumer, idle ms, start, count.
 * Answers the next start, (id, fields, deliveries, attempts) of each, how many were deleted,
 * and whether there are entries with failed tries, pending or parked.
 */
export const claimScript = new Script(`#!lua flags=allow-oom${forget}
local stream, group = KEYS[1], ARGV[1]
local next, entries, gone = unpack(redis.call('XAUTOCLAIM', stream, group, ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5]))
for _, entry in ipairs(entries) do
  local pending = redis.call('XPENDING', stream, group, entry[1], entry[1], 1)[1]
  entry[3] = pending and pending[4] or 1
  entry[4] = redis.call('HGET', KEYS[2], group .. '/' .. entry[1])
end
for _, id in ipairs(gone) do forget(KEYS[2], group, id) end
return {next, entries, #gone, redis.call('EXISTS', KEYS[2], KEYS[3])}`);

/**
 * Sets the idle time of entries, of those that this consumer still holds, and
 * with a count of 0 or more how often they were delivered.
 * KEYS stream, attempts; ARGV group, consumer, idle ms, deliveries, ids.
 * Answers the ids that it does not hold, or that are no longer in the stream.
 */
export const touchScript = new Script(`#!lua flags=allow-oom
${ownerOf}${forget}
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local mine, lost = {}, {}
for i = 5, #ARGV do
  local list = owner_of(stream, group, ARGV[i]) == consumer and mine or lost
  list[#list + 1] = ARGV[i]
end
if #mine > 0 then
  local call = { 'XCLAIM', stream, group, consumer, 0, unpack(mine) }
  local words = { 'IDLE', ARGV[3], 'JUSTID', 'RETRYCOUNT', ARGV[4] }
  for i = 1, tonumber(ARGV[4]) < 0 and 3 or 5 do call[#call + 1] = words[i] end
  local claimed = {}
  for _, id in ipairs(redis.call(unpack(call))) do claimed[id] = true end
  for _, id in ipairs(mine) do
    if not claimed[id] then
      lost[#lost + 1] = id
      forget(KEYS[2], group, id)
    end
  end
end
return lost`);

/** Puts entries that are due back into the stream. KEYS stream, attempts, later; ARGV now in ms, limit. */
export const wakeScript = new Script(`#!lua flags=allow-oom
local due = redis.call('ZRANGE', KEYS[3], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do
  local parked = cjson.decode(member)
  local id = redis.call('XADD', KEYS[1], '*', unpack(parked.fields))
  if parked.attempts then redis.call('HSET', KEYS[2], parked.group .. '/' .. id, parked.attempts) end
  redis.call('ZREM', KEYS[3], member)
end
return #due`);

/**
 * Removes consumers that hold nothing. KEYS stream; ARGV group, the asking
 * consumer, idle ms; with 0 it removes the asking one alone. Answers their names.
 */
export const tidyScript = new Script(`#!lua flags=allow-oom
local removed = {}
if redis.call('EXISTS', KEYS[1]) == 0 then return removed end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local of = {}
  for i = 1, #consumer, 2 do of[consumer[i]] = consumer[i + 1] end
  local self, limit = of.name == ARGV[2], tonumber(ARGV[3])
  if of.pending == 0 and ((self and limit == 0) or (not self and limit > 0 and of.idle > limit)) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of.name)
    removed[#removed + 1] = of.name
  end
end
return removed`);

/**
 * Removes what every group has done with: all below the lowest id that is
 * pending or not yet delivered in any group. KEYS stream. Answers how many.
 */
export const trimScript = new Script(`#!lua flags=allow-oom
local function below(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  if am ~= bm then return #am < #bm or (#am == #bm and am < bm) end
  return #as < #bs or (#as == #bs and as < bs)
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local lowest, trimmed = nil, 0
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local of = {}
  for i = 1, #group, 2 do of[group[i]] = group[i + 1] end
  local pending = redis.call('XPENDING', KEYS[1], of.name)
  local ms, seq = string.match(of['last-delivered-id'], '^(%d+)-(%d+)$')
  local bound = pending[1] > 0 and pending[2] or string.format('%s-%.0f', ms, seq + 1)
  if not lowest or below(bound, lowest) then lowest = bound end
end
if not lowest then return 0 end
trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '=', lowest)
return trimmed`);
