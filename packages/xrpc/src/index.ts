/**
 * Calls to the network's hosts: relays, PDS hosts, labelers, directories.
 *
 * Owns: how a host is named and reached, what an answer may cost (bytes sent
 * and inflated, speed, time, redirects), which addresses are refused, what an
 * error answer means. Refuses to know: Redis, PostgreSQL, what a repo or a
 * frame contains, when to try again. Holds no durable state, so a crash can
 * neither repeat nor lose anything here.
 *
 * Names and answers are those of `@atproto/api`, by its types. Its client is
 * not used at run time, for four reasons measured with 0.21.0: it reads a whole
 * body into memory (getRepo must be a stream, and a body must have limits); it
 * hands redirects to fetch, which checks no hop; its lexicon check refuses a
 * page of 1,000 repos for one entry with an empty rev, which PDS hosts do send
 * (here such an entry alone is judged); and its import costs every process
 * 0.4 s and 63 MB (undici and ws: 0.1 s and 12 MB).
 */

export { isPublicAddress } from './addresses.ts';
export type { Download } from './body.ts';
export { type JsonOptions, type RequestOptions, XrpcClient, type XrpcClientOptions } from './client.ts';
export { XrpcError, type XrpcErrorKind } from './errors.ts';
export { hostKey, hostUrl, socketUrl } from './host.ts';
export { type RateLimit, rateLimitOf, retryAfterOf } from './rate-limit.ts';
export { type SubscribeOptions, subscribe } from './subscribe.ts';
export { type BatchOptions, Subscription } from './subscription.ts';
export {
  getLatestCommit,
  getRepoStatus,
  getRepoStream,
  type HostPage,
  type LatestCommit,
  type ListedHost,
  type ListedRepo,
  listHosts,
  listRepos,
  listReposByCollection,
  type RepoPage,
  type RepoStatus,
} from './sync.ts';
