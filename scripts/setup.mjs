// Brings a bare Debian or Ubuntu with Node >= 20 and npm to where the workspace
// runs: packages (pnpm through npx), Node 24 (one of the packages), redis-server;
// for the tests also Chromium.
// Plain JavaScript without dependencies: it is what runs before there are any.
// Does nothing, also offline, when all is there. Usable alone: node scripts/setup.mjs
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PNPM = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager;
const REDIS = ['redis-server', 'valkey-server'];
/** As test/support/browser.ts looks for it. */
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];

/** What the user has to do; printed without a stack. */
export class SetUpError extends Error {
  name = 'SetUpError';
}

/**
 * @param {{ redis: boolean, browser?: boolean }} needs whether a Redis server program and a browser are needed
 * @returns {Promise<{ node: string, env: Record<string, string> }>} Node 24, and the
 *   environment for everything that runs under it (PATH with Node 24 and the tools)
 */
export async function setUp(needs) {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new SetUpError(`Node 20 or newer is needed to begin with; this is ${process.version}.`);
  }
  const work = [installPackages()];
  work.push(installPrograms(needs));
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  const node = findNode();
  const PATH = [dirname(node), join(root, 'node_modules/.bin'), process.env.PATH ?? ''].join(delimiter);
  return { node, env: { ...environment(), PATH } };
}

/** Runs `work` and exits with its result as code; a SetUpError is one message. */
export async function runOrExplain(work) {
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
}

async function installPackages() {
  const stamp = join(root, 'node_modules/.headwater-installed');
  const wanted = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  say(`installing the packages with ${PNPM} (once; some 30 s to 2 minutes)`);
  const reporter = process.stdout.isTTY ? 'default' : 'append-only';
  const args = ['-y', PNPM, 'install', '--frozen-lockfile', '--prefer-offline', `--reporter=${reporter}`];
  // CI=true: pnpm never asks, for instance before it replaces a node_modules of another make.
  const code = await run('npx', args, { ...environment(), CI: 'true' });
  if (code !== 0) {
    throw new SetUpError(
      `The packages could not be installed (npx ended with ${code}, see above). Is the npm registry reachable? Type this to see it alone:\n  npx ${args.slice(0, 4).join(' ')}`,
    );
  }
  writeFileSync(stamp, wanted);
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']) {
    hash.update(readFileSync(join(root, file)));
  }
  return `${process.platform}-${process.arch} ${hash.digest('hex')}\n`;
}

/** One after the other: apt-get has one lock. */
async function installPrograms({ redis, browser }) {
  if (redis && !REDIS.some(isUsable)) {
    const tried = await aptInstall('redis-server');
    if (!REDIS.some(isUsable)) throw new SetUpError(redisHelp(tried, aptCommand('redis-server')));
  }
  if (browser && !BROWSERS.some(onPath)) {
    const tried = await aptInstall('chromium');
    if (!BROWSERS.some(onPath)) throw new SetUpError(browserHelp(tried, aptCommand('chromium')));
  }
}

function aptCommand(name) {
  return `apt-get update && apt-get install -y --no-install-recommends ${name}`;
}

/** @returns {Promise<boolean>} whether it could be tried */
async function aptInstall(name) {
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const may =
    onPath('apt-get') &&
    (asRoot.length === 0 || (onPath('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0));
  if (!may) return false;
  say(`installing ${name} with apt-get (once)`);
  const wait = ['-qq', '-o', 'DPkg::Lock::Timeout=300'];
  const [first, ...apt] = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...wait];
  // A failed update (one of many sources is down) need not stop the install.
  await run(first, [...apt, 'update'], process.env);
  await run(first, [...apt, 'install', '-y', '--no-install-recommends', name], process.env);
  return true;
}

function browserHelp(tried, command) {
  const why = tried ? 'apt-get did not bring one (see above)' : 'it can’t be installed without a password';
  return [
    `Chromium is missing, which the test of the status page needs, and ${why}. Type this, then try again:`,
    `  sudo sh -c '${command}'`,
    `Any of ${BROWSERS.join(', ')} on PATH will do.`,
  ].join('\n');
}

function redisHelp(tried, command) {
  const old = REDIS.find(onPath);
  const why = tried ? 'apt-get did not bring one (see above)' : 'it can’t be installed without a password';
  return [
    old === undefined
      ? `Redis is missing, and ${why}. Type this, then try again:`
      : `${old} is older than 7.0:`,
    old === undefined ? `  sudo sh -c '${command}'` : `  ${versionOf(old)}`,
    'Any redis-server (7.0 or newer) or valkey-server on PATH will do.',
    'For npm start, so will a running one: REDIS_URL=redis://host:6379 npm start',
  ].join('\n');
}

/** On PATH, and Redis 7.0 or newer, or Valkey of any version (its first was 7.2). */
function isUsable(program) {
  if (!onPath(program)) return false;
  const major = /v=(\d+)\./.exec(versionOf(program))?.[1];
  return major === undefined || Number(major) >= 7;
}

function versionOf(program) {
  return spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
}

function findNode() {
  const packaged = join(root, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  if (existsSync(packaged)) return packaged;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  throw new SetUpError(
    `There is no packaged Node 24 for ${process.platform}-${process.arch}. Install Node 24 and try again.`,
  );
}

/** The environment with a HOME that can be written, which npm, pnpm and others insist on. */
function environment() {
  const home = process.env.HOME;
  if (home !== undefined && home !== '' && isWritable(home)) return { ...process.env };
  const own = join(root, '.headwater/home');
  mkdirSync(own, { recursive: true });
  return { ...process.env, HOME: own };
}

function isWritable(folder) {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function onPath(program) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.some((folder) => existsSync(join(folder, program)));
}

/** Runs a program with our terminal and no stdin; resolves with its exit code. */
export function run(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', (error) =>
      reject(new SetUpError(`${command} could not be started: ${error.message}`)),
    );
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
}

export function say(line) {
  console.log(`» ${line}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runOrExplain(async () => {
    const { node } = await setUp({ redis: true, browser: true });
    say(`all is there; Node 24 is ${node}`);
    return 0;
  });
}
