import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Network, startNetwork as startNetworkIn } from '@headwater/local/network';

export { Account, Network, type RecordRef, type Write } from '@headwater/local/network';

/**
 * A real PLC directory and a real PDS on free ports of loopback, on a temporary
 * folder that `stop` removes. Takes some 2 s, most of it imports.
 *
 * @param pds further settings of the PDS, as `{ handleBackupNameservers: [] }`
 */
export async function startNetwork(pds: Record<string, unknown> = {}): Promise<Network> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-network-'));
  const network = await startNetworkIn({ folder, pds });
  const stop = network.stop.bind(network);
  network.stop = async () => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  };
  return network;
}
