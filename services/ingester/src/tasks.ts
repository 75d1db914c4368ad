import { sleep } from '@headwater/ops';
import { hostKey, listRepos, listReposByCollection } from '@headwater/xrpc';
import { hostKeys } from './keys.ts';
import { keepSendingDids } from './listing/did-jobs.ts';
import { Enumeration, type EnumerationOptions } from './listing/enumerate.ts';
import { HostListing } from './listing/hosts.ts';
import { filterOf } from './live/filter.ts';
import { followFirehose } from './live/firehose.ts';
import { resolveLabeler } from './live/labeler.ts';
import { followLabels } from './live/labels.ts';
import { common, type Settings, type Shared, type Task } from './shared.ts';
import { LabelSignatures } from './verify/label-signatures.ts';

/** Labelers can be silent for long: dead is only what says nothing for ten times as long. */
const labelerPatience = 10;
/** How long an enumeration that begins waits for the live stream to be followed. */
const firstEventMs = 2_000;
const lookMs = 50;

/** Everything that this process is to do, by its settings. */
export function tasksOf(shared: Shared): Task[] {
  const { mode } = shared.settings;
  const has = (part: Settings['mode']) => mode === 'all' || mode === part;
  return [
    ...(has('firehose') ? firehoseTasks(shared) : []),
    ...(has('backfill') ? backfillTasks(shared) : []),
    ...(has('labels') ? labelTasks(shared) : []),
  ];
}

function firehoseTasks(shared: Shared): Task[] {
  const { settings, redis, verifier, doubles } = shared;
  const filter = filterOf(settings.collections, settings.dids);
  return settings.relayHosts.map((address): Task => {
    const host = hostKey(address);
    const listings = listingsOf(settings, host).map((name) => hostKeys(redis, 'repo_backfill', name));
    const hosts = hostKeys(redis, 'repo_backfill', hostsName(host));
    const begun = listings.flatMap(({ cursor, resume }) => [cursor, resume]);
    const run: Task['run'] = (signal, guard) =>
      followFirehose(
        {
          ...common(shared, 'firehose_live'),
          ...{ host, address, filter, verifier, doubles, guard },
          relistKeys: [...listings, hosts].map(({ relist }) => relist),
          isListed: async () => (await Promise.all(begun.map((key) => redis.exists(key)))).includes(1),
          idleMs: settings.idleMs,
        },
        signal,
      );
    return {
      name: `firehose ${host}`,
      stream: 'firehose_live',
      host,
      run,
      feed: 'firehose',
      state: 'starting',
    };
  });
}

function labelTasks(shared: Shared): Task[] {
  const { settings, client, identities, signatures: checker, tuning } = shared;
  return settings.labelerHosts.map((name): Task => {
    const host = hostKey(name);
    const run: Task['run'] = async (signal, guard) => {
      const labeler = await resolveLabeler(name, { client, identities, signal });
      const idleMs = settings.idleMs * labelerPatience;
      const pause = tuning.pause && { pause: tuning.pause };
      const signatures = settings.verifyLabels && {
        signatures: new LabelSignatures({ labeler, identities, signatures: checker, ...pause }),
      };
      const options = { ...common(shared, 'label_live'), host, labeler, idleMs, guard, ...signatures };
      await followLabels(options, signal);
    };
    return { name: `labels ${host}`, stream: 'label_live', host, run, feed: 'labels', state: 'starting' };
  });
}

/** Names in keys of the enumerations that look for a relay's repos. */
function listingsOf({ dids, listCollections }: Settings, host: string): string[] {
  if (dids.length > 0 || listCollections.length === 0) return [host];
  return listCollections.map((nsid) => `${host}/${nsid}`);
}

function backfillTasks(shared: Shared): Task[] {
  const { relayHosts, dids, listCollections, hostsFromRelay } = shared.settings;
  if (dids.length > 0) return [didTask(shared)];
  return relayHosts.flatMap((address) => {
    const host = hostKey(address);
    if (listCollections.length === 0) {
      const read: EnumerationOptions['read'] = (cursor, limit, signal) =>
        listRepos(shared.client, address, { cursor, limit, signal, trusted: true });
      const own = enumerationTask(shared, host, host, read);
      return hostsFromRelay ? [own, hostsTask(shared, address)] : [own];
    }
    return listCollections.map((nsid) => {
      const read: EnumerationOptions['read'] = (cursor, limit, signal) =>
        listReposByCollection(shared.client, address, nsid, { cursor, limit, signal, trusted: true });
      return enumerationTask(shared, `${host}/${nsid}`, host, read);
    });
  });
}

function enumerationTask(shared: Shared, name: string, host: string, read: EnumerationOptions['read']): Task {
  const { relistMs } = shared.settings;
  const run: Task['run'] = async (signal, guard) => {
    await untilFollowed(shared, name, host, signal);
    const options = { ...common(shared, 'repo_backfill'), name, host, read, relistMs, guard };
    await new Enumeration(options).run(signal);
  };
  return { name: `list ${name}`, stream: 'repo_backfill', host: name, run, state: 'starting' };
}

/**
 * The live stream first: what happens to a repo between its fetch and the first
 * event that is stored would be missed. A stream that stays silent is not waited
 * for; where it begins after all, the listing is told to start afresh.
 */
async function untilFollowed(shared: Shared, name: string, host: string, signal: AbortSignal): Promise<void> {
  const { redis, settings } = shared;
  const listing = hostKeys(redis, 'repo_backfill', name);
  const live = hostKeys(redis, 'firehose_live', host);
  if ((await redis.exists(listing.cursor)) === 1) return;
  const isFollowed = settings.mode === 'all' || (await redis.exists(live.lease)) === 1;
  const until = Date.now() + (isFollowed ? firstEventMs : 0);
  while (Date.now() < until && !signal.aborted) {
    if ((await redis.exists(live.cursor)) === 1) return;
    await sleep(lookMs, signal);
  }
}

function hostsTask(shared: Shared, address: string): Task {
  const { settings, tuning } = shared;
  const relay = hostKey(address);
  const run: Task['run'] = (signal, guard) => {
    const listing = new HostListing({
      ...common(shared, 'repo_backfill'),
      ...{ address, relay, guard },
      except: settings.relayHosts.map(hostKey),
      concurrency: settings.hostsConcurrency,
      relistMs: settings.hostsRelistMs,
      ...(tuning.pause && { failure: tuning.pause }),
      ...(tuning.pollMs !== undefined && { pollMs: tuning.pollMs }),
    });
    return listing.run(signal);
  };
  return {
    name: `hosts of ${relay}`,
    stream: 'repo_backfill',
    host: hostsName(relay),
    run,
    state: 'starting',
  };
}

/** The name in keys of all hosts of a relay together. */
function hostsName(relay: string): string {
  return `hosts/${relay}`;
}

function didTask(shared: Shared): Task {
  const { redis, settings } = shared;
  const { relayHosts, dids, relistMs } = settings;
  const address = relayHosts[0] ?? 'bsky.network';
  const relistKeys = relayHosts.map((relay) => hostKeys(redis, 'repo_backfill', hostKey(relay)).relist);
  const run: Task['run'] = (signal, guard) => {
    const options = { ...common(shared, 'repo_backfill'), address, host: hostKey(address), dids };
    return keepSendingDids({ ...options, relistKeys, relistMs, guard }, signal);
  };
  return { name: 'list of INGESTER_DIDS', stream: 'repo_backfill', host: '!dids', run, state: 'starting' };
}
