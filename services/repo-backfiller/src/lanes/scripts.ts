import { Script } from '@headwater/streams';

/*
 * One host's lane is one hash, so each script has one key and runs on any node
 * of a cluster. Fields: `until` (parked until, ms), `strikes` (failures and
 * refusals since the last success), `failures` (the failures in a row), `error` (the last one), `tat` (when the rate allows the next request, ms), and
 * `lease:TOKEN` (when that holder is taken for dead, ms). The time is Redis's own.
 */

const now = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)`;

/**
 * KEYS lane; ARGV token, concurrency, ms between requests, burst in ms,
 * longest wait for the rate in ms, lease in ms, strikes for probing, keep in ms.
 * Answers {0, wait until the request may be sent} or {1 parked | 2 busy | 3 rate, wait, failures in a row}.
 */
export const acquireScript = new Script(`${now}
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until') or 0)
if until_ > now then
  return {1, until_ - now, tonumber(redis.call('HGET', KEYS[1], 'failures') or 0)}
end
local held, all = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 6) == 'lease:' then
    if tonumber(all[i + 1]) > now then held = held + 1 else redis.call('HDEL', KEYS[1], all[i]) end
  end
end
local strikes = tonumber(redis.call('HGET', KEYS[1], 'strikes') or 0)
local limit = strikes >= tonumber(ARGV[7]) and 1 or tonumber(ARGV[2])
if held >= limit then return {2, 0, 0} end
local tat = math.max(now, tonumber(redis.call('HGET', KEYS[1], 'tat') or 0))
local wait = tat - now - tonumber(ARGV[4])
if wait > tonumber(ARGV[5]) then return {3, math.ceil(wait), 0} end
redis.call('HSET', KEYS[1], 'tat', tat + tonumber(ARGV[3]), 'lease:' .. ARGV[1], now + tonumber(ARGV[6]))
redis.call('PEXPIRE', KEYS[1], ARGV[8])
return {0, math.max(0, math.ceil(wait)), 0}`);

/**
 * One more request of a holder. KEYS lane; ARGV ms between requests, burst in ms, keep in ms.
 * Answers the wait until it may be sent.
 */
export const requestScript = new Script(`${now}
local tat = math.max(now, tonumber(redis.call('HGET', KEYS[1], 'tat') or 0))
redis.call('HSET', KEYS[1], 'tat', tat + tonumber(ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return math.max(0, math.ceil(tat - now - tonumber(ARGV[2])))`);

/** KEYS lane; ARGV lease in ms, tokens. A lane that was forgotten is not made again. */
export const renewScript = new Script(`${now}
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[1], 'lease:' .. ARGV[i]) == 1 then
    redis.call('HSET', KEYS[1], 'lease:' .. ARGV[i], now + tonumber(ARGV[1]))
  end
end
return 1`);

/**
 * Ends a holder's turn. KEYS lane; ARGV token, outcome (ok, failed, limited,
 * none), wait that the host asked for (0: none), strikes before failures
 * park, base and longest pause in ms, a random number below 1, keep in ms, the error.
 * Answers for how long the host is parked now, and whether it has recovered. What several requests under
 * way report of one outage counts once.
 */
export const releaseScript = new Script(`${now}
redis.call('HDEL', KEYS[1], 'lease:' .. ARGV[1])
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until') or 0)
local outcome, asked = ARGV[2], tonumber(ARGV[3])
local recovered = 0
if outcome == 'ok' then
  if until_ <= now then
    recovered = math.min(1, redis.call('HDEL', KEYS[1], 'strikes', 'failures', 'until', 'error'))
  end
elseif outcome ~= 'none' then
  local pause = asked
  redis.call('HSET', KEYS[1], 'error', ARGV[9])
  if until_ <= now then
    local strikes = redis.call('HINCRBY', KEYS[1], 'strikes', 1)
    if outcome == 'failed' then redis.call('HINCRBY', KEYS[1], 'failures', 1)
    else redis.call('HDEL', KEYS[1], 'failures') end
    local over = outcome == 'limited' and strikes or strikes - tonumber(ARGV[4]) + 1
    if asked == 0 and over > 0 then
      local ceiling = math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ math.min(over - 1, 30))
      pause = ceiling / 2 + ceiling / 2 * tonumber(ARGV[7])
    end
  end
  if pause > 0 then
    until_ = math.max(until_, now + math.ceil(pause))
    redis.call('HSET', KEYS[1], 'until', until_)
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[8]), until_ - now))
end
return {math.max(0, until_ - now), recovered}`);
