import { Script } from './script.ts';

/*
 * Everything that must happen as one step, as scripts of Redis 7.0. They run
 * whole or not at all; those marked allow-oom free at least what they write,
 * so that a full Redis can be emptied.
 */

/** Only the stream's sole group may delete: another one may not have read the entry yet. */
const isSole = `
local function is_sole(stream, group)
  if redis.call('EXISTS', stream) == 0 then return false end
  local groups = redis.call('XINFO', 'GROUPS', stream)
  return #groups == 1 and groups[1][2] == group
end`;

/** Forgets the tries of an entry. */
const forget = `
local function forget(attempts, group, id)
  redis.call('HDEL', attempts, group .. '/' .. id, group .. '/' .. id .. '/begun')
end`;

/** The consumer that holds an entry, or false. */
const ownerOf = `
local function owner_of(stream, group, id)
  local found = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return found and found[2]
end`;

/**
 * Appends a batch unless the stream is at its mark.
 * KEYS stream, later, producer, …; ARGV mark, mark bytes, memory share,
 * samples (0 = do not measure), number of this batch, of the last confirmed one,
 * n, n × (count, fields…), m, m × (count, command…).
 * Answers `ok`, the first id and, if measured, how many bytes there is room for; or `rewound`; or the pressure.
 */
export const appendScript = new Script(`#!lua
local stream, later, producer = KEYS[1], KEYS[2], KEYS[3]
local at = 7
local function take()
  local from = at + 1
  at = from + tonumber(ARGV[from])
  return unpack(ARGV, from + 1, at)
end
local number, first = string.match(redis.call('GET', producer) or '', '^(%S+) (%S+)$')
if number == ARGV[5] then return {'ok', first} end
if (tonumber(number) or 0) < tonumber(ARGV[6]) then return {'rewound'} end
local room
if tonumber(ARGV[7]) > 0 then
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
for i = 1, tonumber(ARGV[7]) do
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

/**
 * Makes a group that begins at the stream's start, and the stream; also in a full Redis, for
 * nobody could empty it otherwise. KEYS stream; ARGV group. Answers 1, or 0 where it is there already.
 */
export const groupScript = new Script(`#!lua flags=allow-oom
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if not answer.err then return 1 end
return string.match(answer.err, '^BUSYGROUP') and 0 or answer`);

/** Ends entries. KEYS stream, attempts; ARGV group, ids. Answers how many were pending. */
export const ackScript = new Script(`#!lua flags=allow-oom
${isSole}${forget}
local stream, group = KEYS[1], ARGV[1]
local acked = redis.call('XACK', stream, group, unpack(ARGV, 2))
if is_sole(stream, group) then redis.call('XDEL', stream, unpack(ARGV, 2)) end
if redis.call('EXISTS', KEYS[2]) == 1 then
  for i = 2, #ARGV do forget(KEYS[2], group, ARGV[i]) end
end
return acked`);

/**
 * Counts a failed try of an entry that is still pending.
 * KEYS stream, attempts; ARGV group, id, now in ms, a token of this try.
 * Answers the count and the time of the first; nil when the entry has ended. Counts a token once.
 */
export const failScript = new Script(`#!lua flags=allow-oom
${ownerOf}
local group, id, now, token = unpack(ARGV)
if not owner_of(KEYS[1], group, id) then return false end
local field = group .. '/' .. id
local known = redis.call('HGET', KEYS[2], field) or ('0 ' .. now .. ' -')
local count, first, last = string.match(known, '^(%d+) (%d+) (%S+)$')
if last ~= token then
  count = count + 1
  redis.call('HSET', KEYS[2], field, count .. ' ' .. first .. ' ' .. token)
end
return {tonumber(count), tonumber(first)}`);

/**
 * Counts that a suspect's write begins (ARGV 3 = 1) or has ended without killing
 * its process (0). KEYS stream, attempts; ARGV group, id, 1 or 0.
 * Answers the count; nil when the entry has ended.
 */
export const beginScript = new Script(`#!lua flags=allow-oom
${ownerOf}
local field = ARGV[1] .. '/' .. ARGV[2] .. '/begun'
if ARGV[3] == '0' then return redis.call('HDEL', KEYS[2], field) end
if not owner_of(KEYS[1], ARGV[1], ARGV[2]) then return false end
return redis.call('HINCRBY', KEYS[2], field, 1)`);

/**
 * Moves an entry to the dead letters.
 * KEYS stream, attempts, dead; ARGV group, id, then pairs to add behind the entry's own fields.
 * Answers the letter's id, or nil when another consumer has ended the entry.
 */
export const buryScript = new Script(`#!lua flags=allow-oom
${isSole}${forget}
local stream, group, id = KEYS[1], ARGV[1], ARGV[2]
local entry = redis.call('XRANGE', stream, id, id)[1]
local letter = false
if redis.call('XACK', stream, group, id) == 1 and entry then
  local fields = entry[2]
  for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
  letter = redis.call('XADD', KEYS[3], '*', unpack(fields))
end
if letter and is_sole(stream, group) then redis.call('XDEL', stream, id) end
forget(KEYS[2], group, id)
return letter`);

/**
 * Takes an entry out of the stream until a time.
 * KEYS stream, attempts, later; ARGV group, id, due in ms, reason.
 * Answers 1, or 0 when another consumer has ended the entry.
 */
export const parkScript = new Script(`#!lua flags=allow-oom
${isSole}${forget}
local stream, group, id = KEYS[1], ARGV[1], ARGV[2]
local entry = redis.call('XRANGE', stream, id, id)[1]
if redis.call('XACK', stream, group, id) == 0 or not entry then
  forget(KEYS[2], group, id)
  return 0
end
local parked = { id = id, group = group, reason = ARGV[4], fields = entry[2],
  attempts = redis.call('HGET', KEYS[2], group .. '/' .. id) or nil }
redis.call('ZADD', KEYS[3], ARGV[3], cjson.encode(parked))
if is_sole(stream, group) then redis.call('XDEL', stream, id) end
forget(KEYS[2], group, id)
return 1`);

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

/** Moves letters back to the streams they came from. KEYS dead, streams…; ARGV ids. Answers how many. */
export const requeueScript = new Script(
  `#!lua flags=allow-oom
local count = 0
for _, id in ipairs(ARGV) do
  local letter = redis.call('XRANGE', KEYS[1], id, id)[1]
  if letter then
    local fields = letter[2]
    local added = OWN_FIELDS * 2
    local source
    for i = #fields - added + 1, #fields, 2 do
      if fields[i] == 'source' then source = fields[i + 1] end
    end
    for i = 2, #KEYS do
      if KEYS[i] == source then
        redis.call('XADD', source, '*', unpack(fields, 1, #fields - added))
        redis.call('XDEL', KEYS[1], id)
        count = count + 1
      end
    end
  end
end
return count`.replaceAll('OWN_FIELDS', '8'),
);
