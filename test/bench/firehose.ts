/**
 * From frames to commit events with their records as JSON text: ours with
 * everything checked but the signature, @atproto/sync unauthenticated. CPU
 * time, which neighbours disturb less than the clock.
 */
import { lexToJson } from '@atproto/lexicon';
import { WriteOpAction } from '@atproto/repo';
import { parseCommitUnauthenticated } from '@atproto/sync';
import { Frame } from '@atproto/xrpc-server';
import { type CommitEvent, checkCommit, decodeFrame, readCommit } from '@headwater/repo';
import { commitBody, frame, link, type OpBody } from '../../packages/repo/testing/frames.ts';
import { randomRecords } from '../../packages/repo/testing/network.ts';
import { random } from '../../packages/repo/testing/random.ts';
import { buildRepo } from '../../packages/repo/testing/reference.ts';
import { byCpu, type Contestant, inTurns, Report, round } from './harness.ts';
import { versionsOf } from './machine.ts';
import type { BenchOptions } from './options.ts';

const COMMITS = 300;

interface Input {
  frames: Buffer[];
  /** did:key of the one account. */
  key: string;
}

/** Frames of one operation each, as nearly all of the network's are: 8 creates of 10, 2 deletes. */
async function framesOf(records: number): Promise<Input> {
  const built = await buildRepo(randomRecords(1, records));
  const { int } = random(2);
  const present = [...randomRecords(1, records).keys()];
  let { repo } = built;
  const frames: Buffer[] = [];
  for (const [path, record] of randomRecords(3, COMMITS)) {
    const deleted = int(10) < 2 ? present.pop() : undefined;
    const [collection, rkey] = (deleted ?? path).split('/');
    const prev = deleted === undefined ? undefined : link(await repo.data.get(deleted));
    const action = deleted === undefined ? WriteOpAction.Create : WriteOpAction.Delete;
    const before = repo;
    const commit = await repo.formatCommit({ action, collection, rkey, record } as never, built.keypair);
    repo = await repo.applyCommit(commit);
    const cid = link(await repo.data.get(path));
    const op: OpBody = { action, path: deleted ?? path, cid, ...(prev ? { prev } : {}) };
    frames.push(frame('#commit', await commitBody(before, commit, built.did, [op])));
  }
  return { frames, key: built.key };
}

function verified(bytes: Buffer): CommitEvent {
  const decoded = decodeFrame(bytes);
  if (decoded.type !== '#commit') throw new Error(decoded.type);
  const event = readCommit(decoded);
  if (checkCommit(event) !== 'verified') throw new Error('not verified');
  return event;
}

function charsOf(event: CommitEvent): number {
  return event.ops.reduce((sum, op) => sum + (op.cid === null ? 0 : op.json().length), 0);
}

type Validate = (message: object) => { value: never };

/** @atproto/sync's own validator, which it does not export. */
async function validator(): Promise<Validate> {
  const url = new URL('./lexicons/index.js', import.meta.resolve('@atproto/sync'));
  const { com } = await import(url.href);
  return (message) => com.atproto.sync.subscribeRepos.$message.safeParse(message);
}

/** What the Firehose of @atproto/sync does with a frame: decode, validate, parse. */
async function sync(bytes: Buffer, validate: Validate): Promise<number> {
  const { body } = Frame.fromBytes(bytes) as { body: object };
  const { value } = validate({ ...body, $type: 'com.atproto.sync.subscribeRepos#commit' });
  let chars = 0;
  for (const event of await parseCommitUnauthenticated(value)) {
    if ('record' in event) chars += JSON.stringify(lexToJson(event.record)).length;
  }
  return chars;
}

const OURS = 'ours, all but the signature';
const SYNC = '@atproto/sync, unauthenticated';

export async function bench({ records = 3_000, rounds = 20, json }: BenchOptions): Promise<void> {
  const report = new Report('firehose', versionsOf(['@atproto/sync', '@atproto/xrpc-server']), {
    quiet: json,
  });
  const { frames, key } = await framesOf(records);
  const size = frames.reduce((sum, bytes) => sum + bytes.length, 0) / frames.length;
  report.say(
    `  ${frames.length} commits of ${size.toFixed(0)} B on a repo of ${records} records; seconds of CPU`,
  );
  const validate = await validator();
  const readers: Record<string, (bytes: Buffer) => number | Promise<number>> = {
    [OURS]: (bytes) => charsOf(verified(bytes)),
    'ours, signature too'(bytes) {
      const event = verified(bytes);
      if (!event.verify(key)) throw new Error('bad signature');
      return charsOf(event);
    },
    [SYNC]: (bytes) => sync(bytes, validate),
  };
  let expected: number | undefined;
  const contestants = Object.entries(readers).map(
    ([name, read]): Contestant => ({
      name,
      run: () =>
        byCpu(frames.length, async () => {
          let chars = 0;
          for (const bytes of frames) chars += await read(bytes);
          expected ??= chars;
          if (chars !== expected) throw new Error(`${name} made ${chars} characters, ours ${expected}`);
        }),
    }),
  );
  const standings = await inTurns({ contestants, rounds, warmUp: 4 });
  report.standings(standings, 'commits');
  report.result({ firehose_vs_atproto_sync: round(standings[OURS]!.rate / standings[SYNC]!.rate) });
}
