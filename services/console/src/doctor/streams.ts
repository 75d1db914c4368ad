import type { Redis } from '@headwater/streams';
import type { ConsoleSettings } from '../open.ts';
import { type StreamView, streamViews } from '../page/streams.ts';
import { age, size } from '../table.ts';
import { error, type Finding, ok, warning } from './finding.ts';

/** A consumer that lives asks for entries every few seconds, or says that it still has some in hand. */
export const goneMs = 5 * 60_000;

const readers: Record<string, string> = {
  repo_backfill_group: 'repo-backfiller',
  firehose_group: 'indexer',
  label_group: 'indexer',
};

/** Groups, consumers, marks and dead letters of every stream. */
export async function streamFindings(
  redis: Redis,
  settings: ConsoleSettings,
  consumerGoneMs = goneMs,
): Promise<Finding[]> {
  const views = await streamViews(redis, settings);
  return views.flatMap((view) => {
    const wrong = [
      ...groupFindings(view),
      ...memberFindings(view, consumerGoneMs),
      ...markFindings(view),
      ...letterFindings(view),
    ];
    return wrong.length > 0 ? wrong : [ok(`stream ${view.stream}`, `${view.length} entries`)];
  });
}

function groupFindings({ stream, group, exists, length }: StreamView): Finding[] {
  if (exists || length === 0) return [];
  const what = `${length} entries and no consumer group ${group}: nobody has read it yet`;
  const fix = `Start the ${readers[group]}: its first copy makes the group, from the first entry on.`;
  return [error(`stream ${stream}`, what, fix)];
}

function memberFindings({ stream, group, members, oldestPendingMs }: StreamView, gone: number): Finding[] {
  const lost = members.filter(({ pending, idleMs }) => pending > 0 && idleMs > gone);
  const isAlone = lost.length === members.length;
  return lost.map(({ name, pending, idleMs }) => {
    const what = `consumer ${name} has ${pending} entries in hand and was last heard of ${age(idleMs)} ago (the oldest entry is of ${age(oldestPendingMs)} ago)`;
    const fix = isAlone
      ? `No copy of the ${readers[group]} is left: start one, it takes the entries over.`
      : `The other copies of the ${readers[group]} should have taken them over: look at their logs (docs/runbooks/HeadwaterPendingStuck.md).`;
    return error(`stream ${stream}`, what, fix);
  });
}

function markFindings({ stream, group, length, bytes, mark, markBytes }: StreamView): Finding[] {
  if (length < mark && bytes < markBytes) return [];
  const what = `at its high-water mark (${length} of ${mark} entries, ${size(bytes)} of ${size(markBytes)}): producers wait, nothing is lost`;
  const fix = `Normal while a backfill is faster than the ${readers[group]}. If it stays so, start more copies of it, or see why it is slow with \`headwater status --watch\`.`;
  return [warning(`stream ${stream}`, what, fix)];
}

function letterFindings({ stream, dead }: StreamView): Finding[] {
  if (dead === 0 || stream.endsWith(':urgent')) return [];
  const fix = `See them with \`headwater dead list ${stream}\`; mend the cause, then requeue or discard them.`;
  return [warning(`stream ${stream}`, `${dead} dead letters`, fix)];
}
