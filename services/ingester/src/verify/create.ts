import type { IdentityResolver } from '@headwater/identity';
import type { Logger } from '@headwater/ops';
import type { Redis } from '@headwater/streams';
import type { Settings, Tuning } from '../shared.ts';
import { FullVerifier } from './full-verifier.ts';
import { KeyStore } from './key-store.ts';
import { SignatureChecker } from './signatures.ts';
import { SigningKeys } from './signing-keys.ts';
import { structural, trusting, type Verifier } from './verifier.ts';

export interface Verifying extends AsyncDisposable {
  verifier: Verifier;
  signatures: SignatureChecker;
}

/** What a process verifies with, by its settings; shared by all of its subscriptions. */
export function createVerifier({
  settings,
  identities,
  redis,
  log,
  tuning,
}: {
  settings: Settings;
  identities: IdentityResolver;
  redis: Redis;
  log: Logger;
  tuning: Tuning;
}): Verifying {
  const drop = (did: string) => identities.drop(did);
  const signatures = new SignatureChecker();
  const shared = { signatures, [Symbol.asyncDispose]: () => signatures[Symbol.asyncDispose]() };
  const { verify, verifyWaitMs, keyCacheSize, identityTtlMs } = settings;
  if (verify !== 'full') {
    return { ...shared, verifier: { ...(verify === 'off' ? trusting : structural), drop } };
  }
  const store = new KeyStore(redis, keyCacheSize, log);
  const verifier = new FullVerifier({
    keys: new SigningKeys({ identities, store, ttlMs: identityTtlMs }),
    signatures,
    waitMs: verifyWaitMs,
    ...(tuning.pause && { pause: tuning.pause }),
  });
  return { ...shared, verifier };
}
