import { Metrics } from '@headwater/ops';
import { expect, it } from 'vitest';
import { ingesterMetrics } from './metrics.ts';

it('shows the worst of its hosts, and none that another copy follows', async () => {
  const metrics = new Metrics('test');
  const own = ingesterMetrics(metrics);
  own.progress('firehose', 'a', 10, '2026-01-01T00:00:10Z');
  own.progress('firehose', 'b', 20, '2026-01-01T00:00:20Z');
  own.connected('firehose', 'a', true);
  own.connected('firehose', 'b', true);
  const value = async (name: string) =>
    new RegExp(`^headwater_${name}\\{feed="firehose".*\\} (.*)$`, 'm').exec(
      await metrics.registry.metrics(),
    )?.[1];
  const first = Date.parse('2026-01-01T00:00:10Z') / 1000;
  expect(await value('ingester_last_event_timestamp_seconds')).toBe(String(first));
  expect(await value('ingester_connected')).toBe('2');
  own.left('firehose', 'a');
  expect(await value('ingester_last_event_timestamp_seconds')).toBe(String(first + 10));
  expect(await value('ingester_connected')).toBe('1');
  own.left('firehose', 'b');
  expect(await value('ingester_last_seq')).toBeUndefined();
});
