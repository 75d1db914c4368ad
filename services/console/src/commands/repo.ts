import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { parseDocument } from '@headwater/identity';
import { openRepo, RepoError, type RepoRecord, type RepoSnapshot } from '@headwater/repo';
import type { Command } from 'commander';
import { CommandError } from '../errors.ts';

/** `headwater repo inspect | verify`: look at a repo's CAR file without any server. */
export function addRepo(program: Command): void {
  const repo = program.command('repo').description('check and list the CAR file of a repo');
  repo
    .command('verify')
    .description('check hashes, tree, records and, with a DID document, the signature; exits 1 and says why')
    .argument('<file>', 'CAR file, as com.atproto.sync.getRepo gives it')
    .option('--did-doc <file>', "the account's DID document as JSON: checks the DID and the signature too")
    .addHelpText('after', '\nExample:\n  headwater repo verify alice.car --did-doc alice.json')
    .action(verify);
  repo
    .command('inspect')
    .description('one line a record: path and CID')
    .argument('<file>', 'CAR file')
    .option('--json', 'JSON lines instead of text')
    .option('--records', 'also the record as lexicon JSON')
    .addHelpText('after', '\nExample:\n  headwater repo inspect alice.car --json --records')
    .action(inspect);
}

async function verify(file: string, options: { didDoc?: string }): Promise<void> {
  const expected = options.didDoc === undefined ? {} : await expectedOf(options.didDoc);
  await using snapshot = await open(file, expected);
  let bad = 0;
  for (const record of snapshot.records()) {
    const problem = problemOf(record);
    if (problem === undefined) continue;
    bad++;
    console.error(`${record.path} ${record.cid}: ${problem}`);
  }
  if (bad > 0) throw new CommandError(`${file}: ${bad} of ${snapshot.count} records can't be read`);
  const signature = options.didDoc === undefined ? 'signature not checked (no --did-doc)' : 'signature good';
  console.log(`${snapshot.did} rev ${snapshot.rev}: ${snapshot.count} records, all good; ${signature}`);
}

async function inspect(file: string, options: { json?: boolean; records?: boolean }): Promise<void> {
  await using snapshot = await open(file, {});
  let bad = 0;
  for (const record of snapshot.records()) {
    const problem = options.records ? problemOf(record) : undefined;
    if (problem !== undefined) {
      bad++;
      console.error(`${record.path} ${record.cid}: ${problem}`);
      continue;
    }
    const { path, cid } = record;
    const json = options.records ? record.json() : undefined;
    if (!options.json) print(json === undefined ? `${path} ${cid}` : `${path} ${cid} ${json}`);
    else
      print(`${JSON.stringify({ path, cid }).slice(0, -1)}${json === undefined ? '' : `,"record":${json}`}}`);
  }
  if (bad > 0) throw new CommandError(`${file}: ${bad} of ${snapshot.count} records can't be read`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function expectedOf(file: string): Promise<{ did: string; key: string }> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new CommandError(`${file}: ${cause.message}`, { cause });
  });
  const document = parseJson(file, text);
  const { id } = document as { id?: unknown };
  if (typeof id !== 'string') throw new CommandError(`${file}: is not a DID document (it has no "id")`);
  const { signingKey } = parseDocument(id, document);
  if (!signingKey) throw new CommandError(`${file}: the document of ${id} has no #atproto signing key`);
  return { did: id, key: signingKey };
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`${file}: is not JSON`, { cause });
  }
}

async function open(file: string, expected: { did?: string; key?: string }): Promise<RepoSnapshot> {
  try {
    return await openRepo(createReadStream(file), { ...expected, maxBytes: 2 ** 32, tmpDir: tmpdir() });
  } catch (cause) {
    if (cause instanceof RepoError)
      throw new CommandError(`${file}: ${cause.reason}: ${cause.message}`, { cause });
    if (cause instanceof Error && 'code' in cause)
      throw new CommandError(`${file}: ${cause.message}`, { cause });
    throw cause;
  }
}

function problemOf(record: RepoRecord): string | undefined {
  try {
    record.json();
    return undefined;
  } catch (err) {
    if (err instanceof RepoError) return `${err.reason}: ${err.message}`;
    throw err;
  }
}
