import { setTimeout as sleep } from 'node:timers/promises';
import { number } from './display.ts';
import type { Pipeline } from './pipeline.ts';
import { readState, reposIn, type State } from './state.ts';

/** Pause between two looks; longer where a look itself takes long. */
const LOOK_MS = { terminal: 250, lines: 1000 };

/**
 * Shows the pipeline's state until `done` says so. Rejects when the pipeline fails or `signal` aborts.
 *
 * @param host the relay, as in the cursors' keys
 */
export async function watchUntil(
  pipeline: Pipeline,
  host: string,
  done: (state: State) => boolean | Promise<boolean>,
  signal: AbortSignal,
): Promise<State> {
  const { display } = pipeline.options;
  const began = Date.now();
  const pause = process.stdout.isTTY ? LOOK_MS.terminal : LOOK_MS.lines;
  let first: State | undefined;
  for (;;) {
    const looked = Date.now();
    const state = await Promise.race([
      pipeline.failed,
      readState(pipeline.redis, pipeline.sql, pipeline.schema, host),
    ]);
    first ??= state;
    display.block(linesOf(state, first, Date.now() - began));
    if (await done(state)) return state;
    await Promise.race([
      pipeline.failed,
      sleep(Math.max(pause, 10 * (Date.now() - looked)), undefined, { signal }),
    ]);
  }
}

function linesOf(state: State, first: State, ms: number): string[] {
  const gained = state.records - first.records;
  const rate = ms > 1000 && gained > 0 ? `, ${number(Math.round((gained * 1000) / ms))}/s` : '';
  const { repos, backfill, live } = state.waiting;
  const away = reposIn(state, 'unavailable', 'failed');
  const dead = state.dead === 0 ? '' : `, ${number(state.dead)} in the dead letters`;
  return [
    `  enumerate   ${state.listed ? 'done' : 'under way'}`,
    `  backfill    ${number(reposIn(state, 'complete'))} of ${number(reposIn(state))} repos complete, ${number(repos)} waiting${away === 0 ? '' : `, ${number(away)} not available`}`,
    `  index       ${number(state.records)} records${rate}; ${number(backfill)} + ${number(live)} entries waiting${dead}`,
  ];
}
