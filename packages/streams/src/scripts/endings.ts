import { Script } from '../script.ts';
import { forget, isSole, ownerOf } from './parts.ts';

/* What happens to single entries that a consumer holds, each as one step. */

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
