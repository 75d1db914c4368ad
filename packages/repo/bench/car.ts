/**
 * From the bytes of a CAR to verified records as JSON text: ours against the
 * libraries, in turns, all with the hashes of all blocks checked. Figures are
 * CPU time, which neighbours on the machine disturb less than the clock.
 *
 *   node packages/repo/bench/car.ts [--records 20000] [--rounds 7] [--file repo.car]
 */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import * as atcuteCar from '@atcute/car';
import * as atcuteRepo from '@atcute/repo';
import { lexToJson } from '@atproto/lexicon';
import { cborToLexRecord, MemoryBlockstore, Repo, readCarWithRoot, verifyRepo } from '@atproto/repo';
import { CarReader } from '@ipld/car';
import * as dagCbor from '@ipld/dag-cbor';
import { openRepo } from '../src/index.ts';
import { generateRepo } from '../testing/generate.ts';

const { values: args } = parseArgs({
  options: {
    records: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '7' },
    file: { type: 'string' },
    only: { type: 'string' },
  },
});

type Read = (car: Buffer) => Promise<{ records: number; chars: number }>;

async function ours(car: Buffer, spoolAboveBytes?: number) {
  await using repo = await openRepo(chunked(car), { tmpDir: tmpdir(), spoolAboveBytes });
  let chars = 0;
  for (const record of repo.records()) chars += record.rkey.length + record.cid.length + record.json().length;
  return { records: repo.count, chars };
}

function* chunked(car: Buffer) {
  for (let at = 0; at < car.length; at += 65_536) yield car.subarray(at, at + 65_536);
}

async function atprotoRepo(car: Buffer) {
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
async function atprotoVerify(car: Buffer) {
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
async function ipld(car: Buffer) {
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

async function atcute(car: Buffer) {
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

const readers: Record<string, Read> = {
  ours,
  'ours, in a file': (car) => ours(car, 0),
  '@atproto/repo': atprotoRepo,
  '@atproto/repo, verifyRepo': atprotoVerify,
  '@ipld': ipld,
  '@atcute': atcute,
};

async function main() {
  const car =
    args.file === undefined
      ? Buffer.concat([...(await generateRepo({ records: Number(args.records) })).chunks()])
      : readFileSync(args.file);
  const chosen = Object.entries(readers).filter(([name]) => args.only === undefined || name === args.only);
  const times = new Map<string, number[]>(chosen.map(([name]) => [name, []]));
  const expected = await ours(car);
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const [name, read] of chosen) {
      if (round > 2 && name.startsWith('@atproto')) continue;
      globalThis.gc?.();
      const start = process.cpuUsage();
      const { records, chars } = await read(car);
      const { user, system } = process.cpuUsage(start);
      const seconds = (user + system) / 1e6;
      if (records !== expected.records) throw new Error(`${name} read ${records} records`);
      if (chars !== expected.chars) console.log(`${name}: ${chars} characters, ours ${expected.chars}`);
      times.get(name)!.push(seconds);
    }
  }
  const { records } = expected;
  console.log(
    `${records} records, ${(car.length / 1e6).toFixed(1)} MB; node ${process.version}, ${cpus()[0]!.model}, load ${loadavg()[0]!.toFixed(1)}`,
  );
  const best = median(times.get('ours') ?? [Number.NaN]);
  for (const [name, list] of times) {
    const time = median(list);
    const spread = `${(records / Math.max(...list) / 1e3).toFixed(0)}–${(records / Math.min(...list) / 1e3).toFixed(0)}`;
    console.log(
      `${name.padEnd(26)} ${(records / time / 1e3).toFixed(1).padStart(7)} k records a second of CPU (${spread}), ` +
        `${((time / records) * 1e6).toFixed(2)} µs a record, ours is ×${(time / best).toFixed(1)}`,
    );
  }
}

function median(list: number[]): number {
  return list.toSorted((a, b) => a - b)[list.length >> 1]!;
}

await main();
