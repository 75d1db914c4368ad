import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encode } from '@ipld/dag-cbor';
import { type WebSocket, WebSocketServer } from 'ws';
import { deriveKey, type SigningKey, sign } from '../simulator/protocol/keys.ts';
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

/** A label with the signature of its key. */
export function signedLabel<T extends object>(label: T, key: SigningKey): T & { sig: Uint8Array } {
  return { ...label, sig: Uint8Array.from(sign(key, encode(label))) };
}

/** How a DID document names the key that signs labels. */
export function labelMethod(did: string, { multibase }: SigningKey) {
  return { id: `${did}#atproto_label`, type: 'Multikey', controller: did, publicKeyMultibase: multibase };
}

/**
 * A labeler on loopback: its DID document (it stands in for the PLC directory
 * too), the page that names its DID, and subscribeLabels from any cursor.
 */
export class FakeLabeler implements AsyncDisposable {
  readonly did: string;
  /** Signs what is emitted from now on; the DID document names it. */
  key: SigningKey;
  private readonly server: Server;
  private readonly sockets = new Map<WebSocket, number>();
  private readonly frames: Uint8Array[] = [];

  private constructor(name: string) {
    this.did = didOf(name);
    this.key = deriveKey('k256', name);
    this.server = createServer((request, response) => {
      const document = {
        id: this.did,
        alsoKnownAs: [],
        verificationMethod: [labelMethod(this.did, this.key)],
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

  /** Sends labels in one frame, signed, to all who listen, and to those who come later with an older cursor. */
  emit(...labels: NewLabel[]): void {
    const body = {
      seq: this.frames.length + 1,
      labels: labels.map((label) => signedLabel({ ver: 1, src: this.did, ...label }, this.key)),
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
