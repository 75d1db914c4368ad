import type { Host } from '../world/host.ts';
import type { Labeler } from '../world/labeler.ts';
import type { World } from '../world/world.ts';
import { CarStore } from './car-store.ts';
import { type Intercept, LocalServer } from './http.ts';
import { pdsHandler } from './pds.ts';
import { type Documents, plcHandler } from './plc.ts';
import { relayHandler } from './relay.ts';
import { error } from './reply.ts';
import { SubscriptionServer } from './socket.ts';

/** A host's server with its subscription. */
export interface Service {
  server: LocalServer;
  firehose: SubscriptionServer;
}

export const LABELS = 'com.atproto.label.subscribeLabels';
export const FIREHOSE = 'com.atproto.sync.subscribeRepos';

/** All servers of the network. */
export class Fleet implements AsyncDisposable {
  readonly plc: LocalServer;
  readonly hosts: Service[];
  readonly relays: Service[];
  readonly labelers: Service[];

  constructor(world: World, labelers: readonly Labeler[], documents: Documents, intercept: Intercept) {
    this.plc = new LocalServer('plc', plcHandler(world, documents), intercept);
    const { carFolder } = world.options;
    const store = carFolder === undefined ? undefined : new CarStore(carFolder, world.options);
    this.hosts = world.hosts.map((host: Host) => {
      const server = new LocalServer(host.name, pdsHandler(world, host, store), intercept);
      return withFirehose(server, new SubscriptionServer(FIREHOSE, host.feed, 'tells'));
    });
    this.relays = world.relays.map((feed, i) => {
      const server = new LocalServer(`relay${i}`, relayHandler(world), intercept);
      return withFirehose(server, new SubscriptionServer(FIREHOSE, feed, 'silent'));
    });
    this.labelers = labelers.map(({ index, feed }) => {
      const server = new LocalServer(`labeler${index}`, () => error(501, 'MethodNotImplemented'), intercept);
      return withFirehose(server, new SubscriptionServer(LABELS, feed, 'tells'));
    });
  }

  async listen(world: World, labelers: readonly Labeler[]): Promise<void> {
    await this.plc.listen();
    for (const { server } of this.relays) await server.listen();
    for (const [i, { server }] of this.hosts.entries()) world.hosts[i]!.url = await server.listen();
    for (const [i, { server }] of this.labelers.entries()) labelers[i]!.url = await server.listen();
  }

  /** Every server but the directory. */
  get services(): Service[] {
    return [...this.relays, ...this.hosts, ...this.labelers];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { firehose } of this.services) firehose.cut();
    await Promise.all([this.plc, ...this.services.map((s) => s.server)].map((s) => s[Symbol.asyncDispose]()));
  }
}

function withFirehose(server: LocalServer, firehose: SubscriptionServer): Service {
  server.onUpgrade = (call, socket, head) => firehose.upgrade(call, socket, head);
  return { server, firehose };
}
