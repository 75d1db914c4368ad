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
import { networkFolder, runOnSmallNetwork } from './run-small-network.ts';
import { type SmallNetwork, startSmallNetwork } from './small-network.ts';

/** npm hands Ctrl-C on although the terminal did already: a second signal this soon is the same one. */
const SAME_SIGNAL_MS = 1000;

const options = optionsOrExit();
const display = new Display();
const stop = new AbortController();
const pipeline = new Pipeline({ folder: options.folder, display });
let saidStopping = false;
process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  let network: SmallNetwork | undefined;
  let unlock: (() => void) | undefined;
  listenToSignals();
  try {
    unlock = lockFolder(options.folder);
    network = await start();
    const equal = await work(network);
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

/** Servers and network at the same time: each takes seconds. */
async function start(): Promise<SmallNetwork | undefined> {
  const began = Date.now();
  display.line(
    options.relay === undefined
      ? 'Headwater on a small network of this machine'
      : `Headwater on ${options.relay}`,
  );
  const results = await Promise.allSettled([
    pipeline.startServers(stop.signal),
    options.relay === undefined ? startSmallNetwork(networkFolder(options), display, stop.signal) : undefined,
  ]);
  const network = results[1].status === 'fulfilled' ? results[1].value : undefined;
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    await network?.process.stop();
    throw failed.reason;
  }
  stop.signal.throwIfAborted();
  if (network !== undefined)
    display.line(`  network     PLC ${network.plcUrl}, PDS (and relay) ${network.pdsUrl}`);
  display.line(`  PostgreSQL  ${pipeline.databaseUrl}`);
  display.line(`  Redis       ${pipeline.redisUrl}`);
  display.line(`  up in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  display.line();
  return network;
}

async function work(network: SmallNetwork | undefined): Promise<boolean> {
  if (network !== undefined) return runOnSmallNetwork(pipeline, network, options, stop.signal);
  await runOnRelay(pipeline, options, stop.signal);
  return true;
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
