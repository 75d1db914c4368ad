import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encode } from '@ipld/dag-cbor';
import { type WebSocket, WebSocketServer } from 'ws';
import { didOf } from './repos.ts';

/** A label as com.atproto.label.defs#label has it; `src` is filled in. */
export interface NewLabel {
  uri: string;
  val: string;
  cts: string;
  cid?: string;
  neg?: boolean;
  exp?: string;
  src?: string;
}

/**
 * A labeler on loopback: its DID document (it stands in for the PLC directory
 * too), the page that names its DID, and subscribeLabels from any cursor.
 */
export class FakeLabeler implements AsyncDisposable {
  readonly did: string;
  private readonly server: Server;
  private readonly sockets = new Map<WebSocket, number>();
  private readonly frames: Uint8Array[] = [];

  private constructor(name: string) {
    this.did = didOf(name);
    this.server = createServer((request, response) => {
      const document = {
        id: this.did,
        alsoKnownAs: [],
        verificationMethod: [],
        service: [{ id: '#atproto_labeler', type: 'AtprotoLabeler', serviceEndpoint: this.url }],
      };
      const answers: Record<string, object> = {
        '/.well-known/ozone-metadata.json': { did: this.did },
        [`/${this.did}`]: document,
      };
      const answer = answers[decodeURIComponent(request.url ?? '')];
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? {}));
    });
    const sockets = new WebSocketServer({ server: this.server });
    sockets.on('connection', (socket, request) => {
      const cursor = Number(new URL(request.url!, this.url).searchParams.get('cursor') ?? this.frames.length);
      this.sockets.set(socket, cursor);
      socket.on('close', () => this.sockets.delete(socket));
      this.flush();
    });
  }

  static async start(name = 'labeler'): Promise<FakeLabeler> {
    const labeler = new FakeLabeler(name);
    labeler.server.listen(0, '127.0.0.1');
    await once(labeler.server, 'listening');
    return labeler;
  }

  /** `127.0.0.1:PORT`: a value of INGESTER_LABELER_HOSTS. */
  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Base URL, of the PLC directory as well. */
  get url(): string {
    return `http://${this.host}`;
  }

  /** Sends labels in one frame to all who listen, and to those who come later with an older cursor. */
  emit(...labels: NewLabel[]): void {
    const body = {
      seq: this.frames.length + 1,
      labels: labels.map((label) => ({ ver: 1, src: this.did, ...label })),
    };
    this.frames.push(Buffer.concat([encode({ op: 1, t: '#labels' }), encode(body)]));
    this.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets.keys()) socket.terminate();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private flush(): void {
    for (const [socket, sent] of this.sockets) {
      for (const frame of this.frames.slice(sent)) socket.send(frame);
      this.sockets.set(socket, this.frames.length);
    }
  }
}
