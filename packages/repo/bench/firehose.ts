/**
 * From frames to commit events with their records as JSON text: ours with
 * everything checked but the signature, @atproto/sync unauthenticated. Figures
 * are CPU time, which neighbours on the machine disturb less than the clock.
 *
 *   node packages/repo/bench/firehose.ts [--records 3000] [--commits 300] [--rounds 30]
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { lexToJson } from '@atproto/lexicon';
import { WriteOpAction } from '@atproto/repo';
import { parseCommitUnauthenticated } from '@atproto/sync';
import { Frame } from '@atproto/xrpc-server';
import { checkCommit, decodeFrame, readCommit } from '../src/index.ts';
import { commitBody, frame, link, type OpBody } from '../testing/frames.ts';
import { randomRecords } from '../testing/network.ts';
import { random } from '../testing/random.ts';
import { buildRepo } from '../testing/reference.ts';

const { values: args } = parseArgs({
  options: {
    records: { type: 'string', default: '3000' },
    commits: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '30' },
  },
});

/** Frames of one operation each, as nearly all of the network's are: 8 creates of 10, 2 deletes. */
async function frames(): Promise<{ frames: Buffer[]; key: string }> {
  const built = await buildRepo(randomRecords(1, Number(args.records)));
  const { int } = random(2);
  const fresh = [...randomRecords(3, Number(args.commits))];
  const present = [...randomRecords(1, Number(args.records)).keys()];
  let { repo } = built;
  const list: Buffer[] = [];
  for (const [path, record] of fresh) {
    const deleted = int(10) < 2 ? present.pop() : undefined;
    const [collection, rkey] = (deleted ?? path).split('/');
    const prev = deleted === undefined ? undefined : link(await repo.data.get(deleted));
    const action = deleted === undefined ? WriteOpAction.Create : WriteOpAction.Delete;
    const before = repo;
    const commit = await repo.formatCommit({ action, collection, rkey, record } as never, built.keypair);
    repo = await repo.applyCommit(commit);
    const op: OpBody = {
      action,
      path: deleted ?? path,
      cid: link(await repo.data.get(path)),
      ...(prev ? { prev } : {}),
    };
    list.push(frame('#commit', await commitBody(before, commit, built.did, [op])));
  }
  return { frames: list, key: built.key };
}

const input = await frames();
// The validator is not exported.
const lexicons = await import(new URL('./lexicons/index.js', import.meta.resolve('@atproto/sync')).href);

const readers: Record<string, (bytes: Buffer) => number | Promise<number>> = {
  ours(bytes) {
    const decoded = decodeFrame(bytes);
    if (decoded.type !== '#commit') throw new Error(decoded.type);
    const event = readCommit(decoded);
    if (checkCommit(event) !== 'verified') throw new Error('not verified');
    return event.ops.reduce((sum, op) => sum + (op.cid === null ? 0 : op.json().length), 0);
  },
  'ours, signature': (bytes) => {
    const decoded = decodeFrame(bytes);
    if (decoded.type !== '#commit') throw new Error(decoded.type);
    const event = readCommit(decoded);
    if (checkCommit(event) !== 'verified' || !event.verify(input.key)) throw new Error('not verified');
    return event.ops.reduce((sum, op) => sum + (op.cid === null ? 0 : op.json().length), 0);
  },
  // What its Firehose does with a frame: decode, validate, parse.
  async '@atproto/sync'(bytes) {
    const { body } = Frame.fromBytes(bytes) as { body: object };
    const message = { ...body, $type: 'com.atproto.sync.subscribeRepos#commit' };
    const { value } = lexicons.com.atproto.sync.subscribeRepos.$message.safeParse(message);
    let chars = 0;
    for (const event of await parseCommitUnauthenticated(value)) {
      if ('record' in event) chars += JSON.stringify(lexToJson(event.record)).length;
    }
    return chars;
  },
};

const times = new Map<string, number[]>();
for (let round = 0; round < Number(args.rounds); round++) {
  for (const [name, read] of Object.entries(readers)) {
    const start = process.cpuUsage();
    for (const bytes of input.frames) await read(bytes);
    const { user, system } = process.cpuUsage(start);
    const seconds = (user + system) / 1e6;
    // The first rounds are for the compiler.
    if (round >= 5) times.set(name, [...(times.get(name) ?? []), seconds / input.frames.length]);
  }
}
const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1]!;
const size = input.frames.reduce((sum, bytes) => sum + bytes.length, 0) / input.frames.length;
console.log(
  `${input.frames.length} commits of ${size.toFixed(0)} B; node ${process.version}, ${cpus()[0]!.model}, load ${loadavg()[0]!.toFixed(1)}`,
);
for (const [name, list] of times) {
  const ratio = median(list) / median(times.get('ours')!);
  console.log(
    `${name.padEnd(16)} ${(median(list) * 1e6).toFixed(0).padStart(6)} µs of CPU a commit, ours is ×${ratio.toFixed(1)}`,
  );
}
