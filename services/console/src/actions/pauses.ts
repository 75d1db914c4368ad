import { type Pausable, pause, pauseHost, type Redis, resume, resumeHost } from '@headwater/streams';
import { hostKey } from '@headwater/xrpc';

export type Standing = { service: Pausable } | { host: string };

interface Why {
  by: string;
  reason: string | null;
}

/** Has a service stand still, or the backfiller leave a host alone. @returns what follows, in a sentence */
export async function standStill(redis: Redis, what: Standing, why: Why): Promise<string> {
  if ('service' in what) {
    await pause(redis, what.service, why);
    return `${what.service} finishes what it has in hand and then stands still`;
  }
  const host = hostKey(what.host);
  await pauseHost(redis, host, why);
  return `${host} is asked for no more repos; they wait in repo_backfill`;
}

/** @returns undefined where it was not paused */
export async function goOn(redis: Redis, what: Standing): Promise<string | undefined> {
  if ('service' in what) {
    return (await resume(redis, what.service)) ? `${what.service} goes on` : undefined;
  }
  const host = hostKey(what.host);
  return (await resumeHost(redis, host)) ? `${host} is asked again within a minute` : undefined;
}

/** Has a host that is left alone after failures asked again at once. @returns undefined where it was not */
export async function unpark(redis: Redis, host: string): Promise<string | undefined> {
  await redis.del(`repo_backfill:host:${host}`);
  await redis.zrem('repo_backfill:failing', host);
  const was = await redis.zrem('repo_backfill:parked', host);
  return was === 1 ? `${host} is asked again; its repos come back as they fall due` : undefined;
}
