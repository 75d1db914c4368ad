import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { errorFrame, infoFrame } from '../protocol/frame.ts';
import type { About, Feed } from '../world/feed.ts';
import type { Call } from './http.ts';

/** Bytes that may wait in a socket before the next frame is held back. */
const WAITING = 1 << 20;

/** How a host treats a cursor that it can't serve: a PDS says so, a relay keeps silent. */
export type CursorManners = 'tells' | 'silent';

/** One open subscription. */
export class Subscriber {
  readonly socket: WebSocket;
  readonly feed: Feed;
  /** Cursor with which it came. */
  readonly cursor: number | undefined;
  /** Seq of the last frame sent. */
  position: number;
  /** While true no frame is sent, though pings go on. */
  silent = false;
  #waiting = false;

  constructor(socket: WebSocket, feed: Feed, cursor: number | undefined, position: number) {
    this.socket = socket;
    this.feed = feed;
    this.cursor = cursor;
    this.position = position;
    const stop = feed.onPush(() => this.pump());
    socket.on('close', stop);
  }

  /** Sends what there is, as fast as the other side takes it. */
  pump(): void {
    while (!this.#waiting && !this.silent && this.socket.readyState === this.socket.OPEN) {
      const next = this.feed.after(this.position);
      if (!next) return;
      this.position = next.seq;
      this.feed.sent(next.seq);
      if (this.socket.bufferedAmount < WAITING) this.socket.send(next.bytes);
      else this.#sendAndWait(next.bytes);
    }
  }

  /** Pings, and sends no data any more. */
  goSilent(): void {
    this.silent = true;
    const pings = setInterval(() => this.socket.ping(), 500);
    this.socket.on('close', () => clearInterval(pings));
  }

  /** Ends the connection with an error frame, as a host does. */
  refuse(error: string, message: string): void {
    this.socket.send(errorFrame(error, message));
    this.socket.close(1008, error);
  }

  #sendAndWait(bytes: Buffer): void {
    this.#waiting = true;
    this.socket.send(bytes, () => {
      this.#waiting = false;
      this.pump();
    });
  }
}

/** The subscription of one host: `subscribeRepos` or `subscribeLabels`. */
export class SubscriptionServer {
  readonly feed: Feed;
  readonly manners: CursorManners;
  readonly subscribers = new Set<Subscriber>();
  /** How many more connections are refused, and how. */
  refusals = { times: 0, status: 502 };
  /** Hears of events that a subscriber missed by its cursor, as after a reset. */
  onPassedOver: ((events: readonly About[]) => void) | undefined;
  readonly #nsid: string;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

  constructor(nsid: string, feed: Feed, manners: CursorManners) {
    this.#nsid = nsid;
    this.feed = feed;
    this.manners = manners;
  }

  upgrade({ method, params, req }: Omit<Call, 'res'>, socket: Duplex, head: Buffer): void {
    if (method !== this.#nsid) {
      socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
      return;
    }
    if (this.refusals.times > 0) {
      this.refusals.times--;
      socket.end(`HTTP/1.1 ${this.refusals.status} Refused\r\nconnection: close\r\n\r\n`);
      return;
    }
    const text = params.get('cursor');
    const cursor = text === null || text === '' ? undefined : Number(text);
    this.#sockets.handleUpgrade(req, socket, head, (ws) => this.#accept(ws, cursor));
  }

  /** Cuts all subscribers. */
  cut(): void {
    for (const { socket } of this.subscribers) socket.terminate();
  }

  #accept(ws: WebSocket, cursor: number | undefined): void {
    const { feed } = this;
    ws.on('error', () => {});
    const subscriber = new Subscriber(ws, feed, cursor, feed.newest);
    this.subscribers.add(subscriber);
    ws.on('close', () => this.subscribers.delete(subscriber));
    if (cursor !== undefined && !this.#place(subscriber, cursor)) return;
    const passed = cursor === undefined ? [] : feed.passOver(subscriber.position, cursor > feed.newest);
    if (passed.length > 0) this.onPassedOver?.(passed);
    subscriber.pump();
  }

  /** Puts a subscriber at its cursor; false when it was refused. */
  #place(subscriber: Subscriber, cursor: number): boolean {
    const { feed, manners } = this;
    if (cursor > feed.newest) {
      if (manners === 'silent') return true;
      subscriber.refuse('FutureCursor', 'Cursor in the future.');
      return false;
    }
    const isOutdated = cursor < feed.oldest - 1;
    if (isOutdated && manners === 'tells') {
      subscriber.socket.send(
        infoFrame('OutdatedCursor', 'Requested cursor exceeded limit. Possibly missing events'),
      );
    }
    subscriber.position = cursor;
    return true;
  }
}
