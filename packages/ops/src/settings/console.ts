import { backfiller } from './backfiller.ts';
import { int, list, type Setting, text } from './declare.ts';
import { ingester } from './ingester.ts';

/** Shorter ones could be guessed. */
const leastTokenLength = 16;

/** services/console: the status page, and what it has to know of the others' settings. */
export const statusPage = {
  pageHost: text(
    'CONSOLE_HOST',
    'Address on which the status page listens. Any other than loopback needs a token.',
    { default: '127.0.0.1' },
  ),
  pagePort: int('CONSOLE_PORT', 'Port of the status page; 0 takes a free one.', {
    default: 8420,
    max: 65535,
  }),
  viewerToken: token('CONSOLE_VIEWER_TOKEN', 'Lets its holder look at the status page.'),
  operatorToken: token('CONSOLE_OPERATOR_TOKEN', 'Lets its holder look at the status page and act.'),
  replayWindowHours: int(
    'CONSOLE_REPLAY_WINDOW_HOURS',
    'How many hours of events relays are taken to keep, for the headroom that the status page shows.',
    { default: 72, min: 1 },
  ),
  diskPaths: list('CONSOLE_DISK_PATHS', 'Paths on the disks whose room the status page shows.', {
    default: ['/'],
  }),
  relayHosts: ingester.relayHosts,
  labelerHosts: ingester.labelerHosts,
  listMark: ingester.highWaterMark,
  listMarkBytes: ingester.highWaterBytes,
  fetchMark: backfiller.highWaterMark,
  fetchMarkBytes: backfiller.highWaterBytes,
} as const;

function token(env: string, doc: string): Setting<string> & { secret: true } {
  const setting = text(env, `${doc} ${leastTokenLength} characters at least.`, { secret: true as const });
  const parse = (given: string) => {
    if (given.length < leastTokenLength)
      throw new Error(`should have ${leastTokenLength} characters at least`);
    return given;
  };
  return { ...setting, parse };
}
