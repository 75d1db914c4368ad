/** A small network as a process of its own: `node main.ts FOLDER`. Prints `ready {…}` and serves until SIGTERM. */
import { startNetwork } from './network.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: node main.ts FOLDER');
const network = await startNetwork({ folder });
console.log(`ready ${JSON.stringify({ plcUrl: network.plcUrl, pdsUrl: network.pdsUrl })}`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    network.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}
