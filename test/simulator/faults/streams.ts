import type { Fleet, Service } from '../servers/fleet.ts';
import type { About } from '../world/feed.ts';
import type { Disturbance } from './disturbance.ts';
import { FRAME_FAULTS, type FrameFaultName } from './frames.ts';
import type { FaultLog } from './registry.ts';

/** Faults of whole streams. Each acts on all relays unless a service is named (`relay0`, `pds2`, `labeler0`). */
export class StreamFaults {
  readonly #fleet: Fleet;
  readonly #log: FaultLog;
  readonly #disturbance: Disturbance;

  constructor(fleet: Fleet, log: FaultLog, disturbance: Disturbance) {
    this.#fleet = fleet;
    this.#log = log;
    this.#disturbance = disturbance;
    for (const { server, firehose } of fleet.relays) {
      firehose.onPassedOver = (events) => this.#lose('stream-reset', server.name, events);
    }
  }

  /** A frame that nobody can use. */
  poison(name: FrameFaultName, service?: string): void {
    for (const { server, firehose } of this.#of(service)) {
      const seq = firehose.feed.push(FRAME_FAULTS[name](), { type: name });
      this.#log.note({ fault: name, expect: 'drop', service: server.name, seq });
    }
  }

  /**
   * The newest events are lost before anybody who is not connected has seen
   * them, without a word: their seqs stay empty, or (`renumber`) are used again
   * for what follows. Only commits and `#sync` are lost; other events stay.
   */
  drop({ count, renumber = false, service }: { count: number; renumber?: boolean; service?: string }): void {
    for (const { server, firehose } of this.#of(service)) {
      this.#lose('stream-drop', server.name, firehose.feed.loseNewest(count, renumber));
    }
  }

  /** The window of replay shrinks to the newest `keep` events, so that older cursors are outdated; sockets are cut. */
  outdate({ keep = 0, service }: { keep?: number; service?: string } = {}): void {
    for (const { server, firehose } of this.#of(service)) {
      this.#lose('stream-outdated', server.name, firehose.feed.forget(keep));
      firehose.cut();
    }
  }

  /** The seqs begin anew, at 1 unless told; what was in the window is gone, and sockets are cut. */
  reset({ next = 1, service }: { next?: number; service?: string } = {}): void {
    for (const { server, firehose } of this.#of(service)) {
      this.#lose('stream-reset', server.name, firehose.feed.forget(0));
      firehose.feed.reset(next);
      firehose.cut();
      this.#log.note({ fault: 'stream-reset', expect: 'reconnect', service: server.name, seq: next });
    }
  }

  /** Every socket is told that its reader is too slow, and closed. */
  tooSlow(service?: string): void {
    this.#each('stream-too-slow', service, ({ firehose }) => {
      for (const subscriber of firehose.subscribers) {
        subscriber.refuse('ConsumerTooSlow', 'Stream consumer too slow');
      }
    });
  }

  /** The sockets that are open now get pings and no data any more. */
  zombie(service?: string): void {
    this.#each('stream-zombie', service, ({ firehose }) => {
      for (const subscriber of firehose.subscribers) subscriber.goSilent();
    });
  }

  /** Every socket is cut without a word. */
  cut(service?: string): void {
    this.#each('stream-cut', service, ({ firehose }) => firehose.cut());
  }

  /** The next `times` connections are refused with an HTTP status. */
  refuse({
    times = 1,
    status = 502,
    service,
  }: {
    times?: number;
    status?: number;
    service?: string;
  } = {}): void {
    this.#each('stream-refuse', service, ({ firehose }) => {
      firehose.refusals = { times, status };
      firehose.cut();
    });
  }

  /** Notes of each repo up to which rev its events are lost to those who had not read them. */
  #lose(fault: string, service: string, events: readonly About[]): void {
    const revs = new Map<string, string>();
    for (const event of events) {
      const account = this.#disturbance.lost(event);
      if (account && event.rev) revs.set(account.did, event.rev);
    }
    for (const [did, rev] of revs) this.#log.note({ fault, expect: 'repair', service, did, rev });
  }

  #each(fault: string, service: string | undefined, run: (one: Service) => void): void {
    for (const one of this.#of(service)) {
      run(one);
      this.#log.note({ fault, expect: 'reconnect', service: one.server.name });
    }
  }

  #of(service: string | undefined): Service[] {
    if (service === undefined) return this.#fleet.relays;
    return this.#fleet.services.filter(({ server }) => server.name === service);
  }
}
