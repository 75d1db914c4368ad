/**
 * Who is behind a DID: its PDS, its keys, its handle.
 *
 * Owns: reading DID documents (did:plc, did:web), their cache in Redis and in
 * memory, handle resolution in both directions, politeness to the directory.
 * Refuses to know: repos, streams, tables. The cache may lose or repeat
 * anything at a crash: whoever depends on a key or a PDS asks for a fresh
 * document once before it gives up.
 */
export type { CacheStore } from './cache.ts';
export { createIdentity, type IdentitySettings } from './create.ts';
export { type Did, parseDid } from './did.ts';
export { type Identity, parseDocument } from './document.ts';
export { IdentityError, type IdentityReason } from './errors.ts';
export { HandleResolver, type HandleResolverOptions, type TxtResolver } from './handle.ts';
export { isHandle } from './handle-syntax.ts';
export { type HttpAnswer, type HttpGet, httpOf } from './http.ts';
export { IdentityResolver, type IdentityResolverOptions, type RepoIdentity } from './resolver.ts';
