import { parseArgs } from 'node:util';
import { addressesOf, serveControl } from './control.ts';
import { createNetwork, type NetworkOptions } from './network.ts';

/**
 * The simulated network as a process of its own:
 *
 *     node test/simulator/main.ts --seed 1 --repos 300 --options '{"labelers":1}'
 *
 * Prints where everything is as one line of JSON (see Addresses) and runs until
 * SIGTERM, or until its parent goes away where it has an IPC channel. `--options`
 * takes every option of createNetwork as JSON.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    repos: { type: 'string' },
    hosts: { type: 'string' },
    'records-per-repo': { type: 'string' },
    options: { type: 'string', default: '{}' },
  },
});

const options: NetworkOptions = JSON.parse(values.options);
if (values.seed) options.seed = Number(values.seed);
if (values.repos) options.repos = Number(values.repos);
if (values.hosts) options.hosts = Number(values.hosts);
if (values['records-per-repo']) options.recordsPerRepo = Number(values['records-per-repo']);

const network = await createNetwork(options);
const control = await serveControl(network);
console.log(JSON.stringify(addressesOf(network, control.url)));

const stop = async () => {
  await control.close();
  await network.close();
  process.exit(0);
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.on('disconnect', stop);
