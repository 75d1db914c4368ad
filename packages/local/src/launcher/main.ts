/**
 * The launcher of `npm start`: servers, services, network as processes of their
 * own, the main job before the user's eyes, a closing comparison, a clean end.
 *
 *   starting ──► running ──► compared ──► following ──► stopping ──► ended
 *       └───────────┴────────────┴── Ctrl-C, SIGTERM, failure ──┘
 *
 * Exit code 0 after a clean end, 1 when the comparison differs or something failed, 2 on wrong arguments.
 */

import { Display } from './display.ts';
import { lockFolder } from './lock.ts';
import { type Options, parseOptions, USAGE, UsageError } from './options.ts';
import { Pipeline, ROOT } from './pipeline.ts';
import { runOnRelay } from './run-relay.ts';
import { layGround, networkFolder, runOnSmallNetwork } from './run-small-network.ts';
import { prepareSmallNetwork, type SmallNetwork, startSmallNetwork } from './small-network.ts';

/** npm hands Ctrl-C on although the terminal did already: a second signal this soon is the same one. */
const SAME_SIGNAL_MS = 1000;

const options = optionsOrExit();
const display = new Display();
const stop = new AbortController();
const pipeline = new Pipeline({ folder: options.folder, display });
let network: SmallNetwork | undefined;
let saidStopping = false;
process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  let unlock: (() => void) | undefined;
  listenToSignals();
  try {
    unlock = lockFolder(options.folder);
    const equal = options.relay === undefined ? await onSmallNetwork() : await onRelay();
    if (!options.exit) await follow();
    return equal ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    display.keep();
    display.line(`\n${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    sayStopping();
    await pipeline.stop();
    await network?.process.stop();
    unlock?.();
    display.line(`Stopped. The data stays in ${options.folder}; the next start goes on with it.`);
  }
}

/** Everything that takes seconds to come up comes up at the same time. */
async function onSmallNetwork(): Promise<boolean> {
  display.line('Headwater on a small network of this machine');
  const began = Date.now();
  const folder = networkFolder(options);
  const addresses = await prepareSmallNetwork(folder);
  const [ground, started] = await Promise.allSettled([
    layGround(pipeline, addresses, options, stop.signal),
    startSmallNetwork(folder, display, stop.signal),
  ]);
  if (started.status === 'rejected') throw started.reason;
  network = started.value;
  if (ground.status === 'rejected') throw ground.reason;
  stop.signal.throwIfAborted();
  display.line(`  network     PLC ${network.plcUrl}, PDS (and relay) ${network.pdsUrl}`);
  showServers(began);
  return runOnSmallNetwork(pipeline, ground.value, options, stop.signal);
}

async function onRelay(): Promise<boolean> {
  display.line(`Headwater on ${options.relay}`);
  const began = Date.now();
  await pipeline.startServers(stop.signal);
  showServers(began);
  await runOnRelay(pipeline, options, stop.signal);
  return true;
}

function showServers(began: number): void {
  display.line(`  PostgreSQL  ${pipeline.databaseUrl}`);
  display.line(`  Redis       ${pipeline.redisUrl}`);
  display.line(`  up in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  display.line();
}

async function follow(): Promise<void> {
  display.line();
  display.line('Still following. Ctrl-C stops everything.');
  const stopped = new Promise((resolve) => {
    stop.signal.addEventListener('abort', resolve);
    if (stop.signal.aborted) resolve(undefined);
  });
  // A timer keeps the process alive where nothing else does.
  const awake = setInterval(() => {}, 60_000);
  await Promise.race([stopped, pipeline.failed]).finally(() => clearInterval(awake));
}

function sayStopping(): void {
  if (saidStopping) return;
  saidStopping = true;
  display.keep();
  display.line('Stopping: services finish what they have in hand …');
}

function listenToSignals(): void {
  let first = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (first === 0) {
        first = Date.now();
        sayStopping();
        stop.abort(new Error('stopped'));
      } else if (Date.now() - first > SAME_SIGNAL_MS) {
        display.line('Ending the services at once; what they had in hand comes again at the next start.');
        void pipeline.kill();
      }
    });
  }
}

function optionsOrExit(): Options {
  try {
    const parsed = parseOptions(process.argv.slice(2), ROOT, process.stdin.isTTY === true);
    if (parsed !== 'help') return parsed;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}
