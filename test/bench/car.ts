/**
 * From the bytes of a CAR to verified records as JSON text, all with the
 * hashes of all blocks checked. CPU time, which neighbours disturb less than the clock.
 */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as atcuteCar from '@atcute/car';
import * as atcuteRepo from '@atcute/repo';
import { lexToJson } from '@atproto/lexicon';
import { cborToLexRecord, MemoryBlockstore, Repo, readCarWithRoot, verifyRepo } from '@atproto/repo';
import { openRepo } from '@headwater/repo';
import { CarReader } from '@ipld/car';
import * as dagCbor from '@ipld/dag-cbor';
import { generateRepo } from '../../packages/repo/testing/generate.ts';
import { byCpu, type Contestant, inTurns, Report, round } from './harness.ts';
import { versionsOf } from './machine.ts';
import type { BenchOptions } from './options.ts';

/** What was read; all readers must agree on it. */
interface Seen {
  records: number;
  chars: number;
}

async function ours(car: Buffer, spoolAboveBytes?: number): Promise<Seen> {
  await using repo = await openRepo(chunked(car), { tmpDir: tmpdir(), spoolAboveBytes });
  let chars = 0;
  for (const record of repo.records()) chars += record.rkey.length + record.cid.length + record.json().length;
  return { records: repo.count, chars };
}

function* chunked(car: Buffer) {
  for (let at = 0; at < car.length; at += 65_536) yield car.subarray(at, at + 65_536);
}

/** The plain walk over the tree. */
async function atprotoWalk(car: Buffer): Promise<Seen> {
  const { root, blocks } = await readCarWithRoot(car);
  const repo = await Repo.load(new MemoryBlockstore(blocks), root);
  let records = 0;
  let chars = 0;
  for await (const { rkey, cid, record } of repo.walkRecords()) {
    records++;
    chars += rkey.length + cid.toString().length + JSON.stringify(lexToJson(record)).length;
  }
  return { records, chars };
}

/** As the AppView's own indexer reads a repo: verified as a difference from nothing. */
async function atprotoVerify(car: Buffer): Promise<Seen> {
  const { root, blocks } = await readCarWithRoot(car);
  const { creates } = await verifyRepo(blocks, root);
  let chars = 0;
  for (const { rkey, cid } of creates) {
    const record = cborToLexRecord(blocks.get(cid)!);
    chars += rkey.length + cid.toString().length + JSON.stringify(lexToJson(record)).length;
  }
  return { records: creates.length, chars };
}

interface Node {
  l: unknown;
  e: { k: Uint8Array; p: number; t: unknown; v: unknown }[];
}

/** @ipld/car and @ipld/dag-cbor, with the walk that a user of theirs would write. */
async function ipld(car: Buffer): Promise<Seen> {
  const reader = await CarReader.fromBytes(car);
  const [root] = await reader.getRoots();
  const blocks = new Map<string, Uint8Array>();
  for await (const { cid, bytes } of reader.blocks()) {
    if (!Buffer.from(cid.multihash.digest).equals(hash('sha256', bytes, 'buffer'))) throw new Error('hash');
    blocks.set(cid.toString(), bytes);
  }
  let records = 0;
  let chars = 0;
  const walk = (cid: unknown) => {
    const node = dagCbor.decode<Node>(blocks.get(String(cid))!);
    if (node.l !== null) walk(node.l);
    let key = '';
    for (const { k, p, t, v } of node.e) {
      key = key.slice(0, p) + Buffer.from(k).toString('latin1');
      const text = String(v);
      const record = dagCbor.decode<never>(blocks.get(text)!);
      records++;
      chars += key.split('/')[1]!.length + text.length + JSON.stringify(lexToJson(record)).length;
      if (t !== null) walk(t);
    }
  };
  walk(dagCbor.decode<{ data: unknown }>(blocks.get(String(root))!).data);
  return { records, chars };
}

function atcute(car: Buffer): Seen {
  for (const { cid, bytes } of atcuteCar.fromUint8Array(car)) {
    if (!Buffer.from(cid.digest.contents).equals(hash('sha256', bytes, 'buffer'))) throw new Error('hash');
  }
  let records = 0;
  let chars = 0;
  for (const entry of atcuteRepo.fromUint8Array(car)) {
    records++;
    chars += entry.rkey.length + entry.cid.$link.length + JSON.stringify(entry.record).length;
  }
  return { records, chars };
}

const OURS = 'ours';
const VERIFY = '@atproto/repo, verifyRepo';
const WALK = '@atproto/repo, walk';
const ATCUTE = '@atcute/repo';

const readers: [name: string, read: (car: Buffer) => Seen | Promise<Seen>, rounds?: number][] = [
  [OURS, (car) => ours(car)],
  ['ours, spooled to a file', (car) => ours(car, 0)],
  [VERIFY, atprotoVerify, 3],
  [WALK, atprotoWalk, 3],
  ['@ipld/car, @ipld/dag-cbor', ipld],
  [ATCUTE, atcute],
];

export async function bench({ file, records = 20_000, rounds = 7, json }: BenchOptions): Promise<void> {
  const packages = ['@atproto/repo', '@atcute/car', '@atcute/repo', '@ipld/car', '@ipld/dag-cbor'];
  const report = new Report('car', versionsOf(packages), { quiet: json });
  const car = file === undefined ? await generated(records) : readFileSync(file);
  const expected = await ours(car);
  report.say(`  ${expected.records} records, ${(car.length / 1e6).toFixed(1)} MB; seconds of CPU`);
  const contestants = readers.map(
    ([name, read, most]): Contestant => ({
      name,
      ...(most !== undefined && { rounds: most }),
      run: () =>
        byCpu(expected.records, async () => {
          const seen = await read(car);
          if (seen.records !== expected.records) throw new Error(`${name} read ${seen.records} records`);
          if (seen.chars !== expected.chars) throw new Error(`${name} made ${seen.chars} characters`);
        }),
    }),
  );
  const standings = await inTurns({ contestants, rounds, warmUp: 4 });
  report.standings(standings, 'records');
  const over = (name: string) => round(standings[OURS]!.rate / standings[name]!.rate);
  report.result({
    car_vs_atproto_repo: over(VERIFY),
    car_vs_atproto_repo_walk: over(WALK),
    car_vs_atcute: over(ATCUTE),
  });
}

async function generated(records: number): Promise<Buffer> {
  return Buffer.concat([...(await generateRepo({ records })).chunks()]);
}
