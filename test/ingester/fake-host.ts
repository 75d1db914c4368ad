import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface SentFrame {
  seq: number;
  bytes: Uint8Array;
}

/** What a page of listRepos says of a repo. */
export interface Listed {
  did: string;
  rev?: string;
  active?: boolean;
  status?: string;
}

/**
 * A relay, PDS or labeler on loopback that does whatever a fault test wants.
 * By itself it lists `repos` with numeric cursors and replays `frames` above the
 * cursor of a subscription, then sends what is pushed.
 */
export class FakeHost implements AsyncDisposable {
  repos: Listed[] = [];
  readonly frames: SentFrame[] = [];
  /** Paths and queries asked for so far. */
  readonly requests: URL[] = [];
  /** Cursors of the subscriptions so far; null where there was none. */
  readonly cursors: (string | null)[] = [];
  /** Answers a request instead of the server; true when it did. */
  onRequest: (url: URL, response: ServerResponse) => boolean = () => false;
  /** Serves a subscription instead of the server. */
  onSubscribe: ((socket: WebSocket, cursor: string | null) => void) | undefined;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      const cursor = new URL(request.url!, this.url).searchParams.get('cursor');
      this.cursors.push(cursor);
      this.#sockets.handleUpgrade(request, socket, head, (ws) =>
        (this.onSubscribe ?? this.#replay)(ws, cursor),
      );
    });
  }

  static async start(port = 0): Promise<FakeHost> {
    const host = new FakeHost();
    host.#server.listen(port, '127.0.0.1');
    await once(host.#server, 'listening');
    return host;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  push(...frames: SentFrame[]): void {
    this.frames.push(...frames);
    for (const socket of this.#sockets.clients) for (const { bytes } of frames) socket.send(bytes);
  }

  /** Cuts all subscriptions. */
  drop(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  readonly #replay = (socket: WebSocket, cursor: string | null) => {
    if (cursor === null) return;
    for (const { seq, bytes } of this.frames) if (seq > Number(cursor)) socket.send(bytes);
  };

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.url);
    this.requests.push(url);
    if (this.onRequest(url, response)) return;
    if (url.pathname.endsWith('.listRepos')) this.#list(url, response);
    else json(response, 404, { error: 'MethodNotImplemented' });
  }

  #list(url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const limit = Number(url.searchParams.get('limit'));
    const page = this.repos.slice(from, from + limit);
    const more = from + limit < this.repos.length;
    json(response, 200, {
      ...(more && { cursor: String(from + limit) }),
      repos: page.map((repo) => ({ head: 'bafy', rev: '3l3qo2vuowo2b', active: true, ...repo })),
    });
  }
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
