/** Repos built and read by the independent reference library, for tests and benches. */
import { Secp256k1Keypair } from '@atproto/crypto';
import { lexToJson } from '@atproto/lexicon';
import {
  BlockMap,
  blocksToCarFile,
  type CommitData,
  cidForRecord,
  MemoryBlockstore,
  type RecordCreateOp,
  Repo,
  readCarWithRoot,
  WriteOpAction,
} from '@atproto/repo';

export interface BuiltRepo {
  did: string;
  key: string;
  keypair: Secp256k1Keypair;
  car: Uint8Array;
  repo: Repo;
  storage: MemoryBlockstore;
}

export interface ReferenceRecord {
  path: string;
  cid: string;
  json: unknown;
}

/** A signed repo of these records (path → record), in a CAR with the commit first. */
export async function buildRepo(
  records: Iterable<[path: string, record: object]>,
  did = 'did:plc:ragtjsm2j2vknwkz3zp4oxrd',
): Promise<BuiltRepo> {
  const keypair = await Secp256k1Keypair.create();
  const storage = new MemoryBlockstore();
  const writes: RecordCreateOp[] = [];
  for (const [path, record] of records) {
    const [collection, rkey] = path.split('/');
    writes.push({ action: WriteOpAction.Create, collection, rkey, record } as RecordCreateOp);
  }
  const repo = await Repo.create(storage, did, keypair, writes);
  return { did, key: keypair.did(), keypair, car: await carOf(repo, storage), repo, storage };
}

/** CAR of the repo's present state: the commit, then all other blocks. */
export async function carOf(repo: Repo, storage: MemoryBlockstore): Promise<Uint8Array> {
  const blocks = new BlockMap();
  blocks.set(repo.cid, (await storage.getBytes(repo.cid))!);
  blocks.addMap(storage.blocks);
  return blocksToCarFile(repo.cid, blocks);
}

/** What the reference reads out of a CAR, in the tree's order. */
export async function referenceRecords(car: Uint8Array): Promise<ReferenceRecord[]> {
  const { root, blocks } = await readCarWithRoot(car);
  const repo = await Repo.load(new MemoryBlockstore(blocks), root);
  const records: ReferenceRecord[] = [];
  for await (const { collection, rkey, cid, record } of repo.walkRecords()) {
    const json = JSON.parse(JSON.stringify(lexToJson(record)));
    records.push({ path: `${collection}/${rkey}`, cid: cid.toString(), json });
  }
  return records;
}

export { type CommitData, cidForRecord };
