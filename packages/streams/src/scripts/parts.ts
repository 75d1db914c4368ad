/* Functions that several scripts share. */

/** Only the stream's sole group may delete: another one may not have read the entry yet. */
export const isSole = `
local function is_sole(stream, group)
  if redis.call('EXISTS', stream) == 0 then return false end
  local groups = redis.call('XINFO', 'GROUPS', stream)
  return #groups == 1 and groups[1][2] == group
end`;

/** Forgets the tries of an entry. */
export const forget = `
local function forget(attempts, group, id)
  redis.call('HDEL', attempts, group .. '/' .. id, group .. '/' .. id .. '/begun')
end`;

/** The consumer that holds an entry, or false. */
export const ownerOf = `
local function owner_of(stream, group, id)
  local found = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return found and found[2]
end`;
