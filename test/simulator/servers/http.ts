import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { error, type Reply, send } from './reply.ts';

/** One request, taken apart. */
export interface Call {
  /** Name of the server: `plc`, `pds3`, `relay0`, `labeler1`. */
  service: string;
  /** NSID of an XRPC call, else the path. */
  method: string;
  params: URLSearchParams;
  path: string;
  req: IncomingMessage;
  res: ServerResponse;
}

/** What a server answers. */
export type Handler = (call: Call) => Reply;

/** May answer in a handler's place, or spoil its reply; returns true when it has answered. */
export type Intercept = (call: Call, handle: Handler) => boolean;

/** One HTTP server on a free port of loopback. */
export class LocalServer implements AsyncDisposable {
  readonly name: string;
  readonly #handle: Handler;
  readonly #intercept: Intercept;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  /** Takes the upgrades to WebSocket, where there are any. */
  onUpgrade: ((call: Omit<Call, 'res'>, socket: Duplex, head: Buffer) => void) | undefined;

  constructor(name: string, handle: Handler, intercept: Intercept) {
    this.name = name;
    this.#handle = handle;
    this.#intercept = intercept;
    this.#server = createServer((req, res) => this.#answer(req, res));
    this.#server.keepAliveTimeout = 30_000;
    this.#server.on('upgrade', (req, socket, head) => {
      if (this.onUpgrade) this.onUpgrade({ ...this.#parse(req), req }, socket, head);
      else socket.destroy();
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // A client that goes away is its own affair.
      socket.on('error', () => {});
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return this.url;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection, as a host that goes down; new ones are accepted. */
  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cutConnections();
    await closed;
  }

  #parse(req: IncomingMessage): Omit<Call, 'req' | 'res'> {
    const url = new URL(req.url ?? '/', 'http://host');
    const path = decodeURIComponent(url.pathname);
    const method = path.startsWith('/xrpc/') ? path.slice(6) : path;
    return { service: this.name, method, path, params: url.searchParams };
  }

  #answer(req: IncomingMessage, res: ServerResponse): void {
    res.on('error', () => {});
    try {
      const call = { ...this.#parse(req), req, res };
      if (!this.#intercept(call, this.#handle)) send(res, this.#handle(call));
    } catch (err) {
      if (res.headersSent) res.destroy();
      else send(res, error(500, 'InternalServerError', String(err)));
    }
  }
}
