import type { Mutant } from '../mutant.ts';
import { database } from './database.ts';
import { network } from './network.ts';
import { repo } from './repo.ts';
import { streams } from './streams.ts';
import { sync } from './sync.ts';

export const catalogue: readonly Mutant[] = [...database, ...repo, ...streams, ...network, ...sync];
