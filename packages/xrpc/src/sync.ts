import type {
  ComAtprotoSyncGetLatestCommit,
  ComAtprotoSyncGetRepoStatus,
  ComAtprotoSyncListHosts,
  ComAtprotoSyncListRepos,
  ComAtprotoSyncListReposByCollection,
} from '@atproto/api';
import type { Download } from './body.ts';
import type { JsonOptions, RequestOptions, XrpcClient } from './client.ts';
import { XrpcError } from './errors.ts';
import { hostUrl, xrpcUrl } from './host.ts';

type ListReposAnswer = ComAtprotoSyncListRepos.OutputSchema;
type ListHostsAnswer = ComAtprotoSyncListHosts.OutputSchema;
type ByCollectionAnswer = ComAtprotoSyncListReposByCollection.OutputSchema;
type StatusAnswer = ComAtprotoSyncGetRepoStatus.OutputSchema;

export type LatestCommit = ComAtprotoSyncGetLatestCommit.OutputSchema;

/** A line of listRepos; head and rev are empty where the host gave none. */
export interface ListedRepo {
  did: string;
  head: string;
  rev: string;
  active: boolean;
  status?: string;
}

export interface RepoPage {
  repos: ListedRepo[];
  /** Absent on the last page. A page without repos that has a cursor is not the last. */
  cursor?: string;
  /** Entries of the page that are not repos at all (no DID): left out and counted. */
  unusable: number;
}

export interface ListedHost {
  hostname: string;
  accountCount?: number;
  seq?: number;
  status?: string;
}

export interface HostPage {
  hosts: ListedHost[];
  cursor?: string;
}

export interface RepoStatus {
  did: string;
  active: boolean;
  status?: string;
  rev?: string;
}

type PageOptions = JsonOptions & { cursor?: string | undefined; limit?: number };

/**
 * com.atproto.sync.listRepos: one page, in the host's order.
 *
 * @param host as hostUrl reads it
 * @throws XrpcError
 */
export async function listRepos(
  client: XrpcClient,
  host: string,
  { cursor, limit = 1000, ...options }: PageOptions = {},
): Promise<RepoPage> {
  const url = xrpcUrl(hostUrl(host), 'com.atproto.sync.listRepos', { limit, cursor });
  return repoPage(url, await client.getJson(url, options), listedRepo);
}

/**
 * com.atproto.sync.listReposByCollection: DIDs with at least one record of a collection;
 * it says nothing of their heads.
 *
 * @throws XrpcError
 */
export async function listReposByCollection(
  client: XrpcClient,
  host: string,
  collection: string,
  { cursor, limit = 1000, ...options }: PageOptions = {},
): Promise<RepoPage> {
  const query = { collection, limit, cursor };
  const url = xrpcUrl(hostUrl(host), 'com.atproto.sync.listReposByCollection', query);
  return repoPage(url, await client.getJson(url, options), listedRepo);
}

/**
 * com.atproto.sync.listHosts of a relay: the hosts that it crawls.
 *
 * @throws XrpcError
 */
export async function listHosts(
  client: XrpcClient,
  relay: string,
  { cursor, limit = 1000, ...options }: PageOptions = {},
): Promise<HostPage> {
  const url = xrpcUrl(hostUrl(relay), 'com.atproto.sync.listHosts', { limit, cursor });
  const answer = (await client.getJson(url, options)) as Partial<ListHostsAnswer> | null;
  if (!Array.isArray(answer?.hosts)) throw bad(url, 'no list `hosts`');
  const hosts = answer.hosts.filter((host) => typeof host?.hostname === 'string') as ListedHost[];
  return { hosts, ...cursorOf(url, answer.cursor) };
}

/**
 * com.atproto.sync.getRepo: the CAR as a stream. The head of the answer has
 * arrived when this resolves; the body is under the limits of `options`.
 *
 * @param pds as hostUrl reads it; not trusted unless `options` says so
 * @throws XrpcError, `terminal` when the host has the repo no more or withholds it
 */
export async function getRepoStream(
  client: XrpcClient,
  pds: string,
  did: string,
  options: RequestOptions = {},
): Promise<Download> {
  const url = xrpcUrl(hostUrl(pds), 'com.atproto.sync.getRepo', { did });
  return client.get(url, { accept: 'application/vnd.ipld.car', ...options });
}

/**
 * com.atproto.sync.getLatestCommit.
 *
 * @throws XrpcError
 */
export async function getLatestCommit(
  client: XrpcClient,
  pds: string,
  did: string,
  options: JsonOptions = {},
): Promise<LatestCommit> {
  const url = xrpcUrl(hostUrl(pds), 'com.atproto.sync.getLatestCommit', { did });
  const answer = (await client.getJson(url, options)) as Partial<LatestCommit> | null;
  if (typeof answer?.cid !== 'string' || typeof answer.rev !== 'string') throw bad(url, 'no cid and rev');
  return { cid: answer.cid, rev: answer.rev };
}

/**
 * com.atproto.sync.getRepoStatus.
 *
 * @throws XrpcError
 */
export async function getRepoStatus(
  client: XrpcClient,
  pds: string,
  did: string,
  options: JsonOptions = {},
): Promise<RepoStatus> {
  const url = xrpcUrl(hostUrl(pds), 'com.atproto.sync.getRepoStatus', { did });
  const answer = (await client.getJson(url, options)) as Partial<StatusAnswer> | null;
  if (answer?.did !== did || typeof answer.active !== 'boolean') throw bad(url, 'no did and active');
  return {
    did,
    active: answer.active,
    ...(typeof answer.status === 'string' && { status: answer.status }),
    ...(typeof answer.rev === 'string' && { rev: answer.rev }),
  };
}

function repoPage(url: URL, answer: unknown, read: (entry: unknown) => ListedRepo | undefined): RepoPage {
  const { repos, cursor } = (answer ?? {}) as Partial<ListReposAnswer & ByCollectionAnswer>;
  if (!Array.isArray(repos)) throw bad(url, 'no list `repos`');
  const usable = (repos as unknown[]).map(read).filter((repo) => repo !== undefined);
  return { repos: usable, ...cursorOf(url, cursor), unusable: repos.length - usable.length };
}

const didForm = /^did:[a-z]+:[a-zA-Z0-9._:%-]{1,2000}$/;

/** One entry; what is missing besides the DID is the business of those who fetch the repo. */
function listedRepo(entry: unknown): ListedRepo | undefined {
  const { did, head, rev, active, status } = (entry ?? {}) as Partial<ListReposAnswer['repos'][number]>;
  if (typeof did !== 'string' || !didForm.test(did)) return undefined;
  return {
    did,
    head: typeof head === 'string' ? head : '',
    rev: typeof rev === 'string' ? rev : '',
    active: active !== false,
    ...(typeof status === 'string' && { status: status.slice(0, 64) }),
  };
}

function cursorOf(url: URL, cursor: unknown): { cursor?: string } {
  if (cursor === undefined || cursor === null || cursor === '') return {};
  if (typeof cursor !== 'string' || cursor.length > 4096) throw bad(url, 'a cursor that is no short text');
  return { cursor };
}

function bad(url: URL, what: string): XrpcError {
  return new XrpcError('bad-answer', `${url.host}${url.pathname}: ${what}`);
}
