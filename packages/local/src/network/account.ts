import { AtpAgent } from '@atproto/api';

/** What points at a record: in a like, a repost, a reply. */
export interface RecordRef {
  uri: string;
  cid: string;
}

export interface Write {
  action: 'create' | 'update' | 'delete';
  collection: string;
  rkey?: string;
  value?: Record<string, unknown>;
}

/** Writes that one applyWrites call of a PDS accepts. */
const WRITES_A_CALL = 200;

/** An account on a PDS with a session: every method writes to its repo through the PDS's API. */
export class Account {
  readonly did: string;
  readonly handle: string;
  readonly agent: AtpAgent;

  constructor(agent: AtpAgent) {
    this.agent = agent;
    this.did = agent.assertDid;
    this.handle = agent.session!.handle;
  }

  /** Creates a record; `rkey` is made by the PDS if absent. */
  async create(collection: string, record: Record<string, unknown>, rkey?: string): Promise<RecordRef> {
    const input = {
      repo: this.did,
      collection,
      rkey,
      record: { $type: collection, ...record },
      validate: false,
    };
    const { data } = await this.agent.com.atproto.repo.createRecord(input);
    return { uri: data.uri, cid: data.cid };
  }

  /** Creates or replaces a record. */
  async put(collection: string, rkey: string, record: Record<string, unknown>): Promise<RecordRef> {
    const input = {
      repo: this.did,
      collection,
      rkey,
      record: { $type: collection, ...record },
      validate: false,
    };
    const { data } = await this.agent.com.atproto.repo.putRecord(input);
    return { uri: data.uri, cid: data.cid };
  }

  async delete(target: string | RecordRef): Promise<void> {
    const uri = typeof target === 'string' ? target : target.uri;
    const [, , repo, collection, rkey] = uri.split('/');
    await this.agent.com.atproto.repo.deleteRecord({ repo: repo!, collection: collection!, rkey: rkey! });
  }

  /** Many writes in few commits of up to 200. Returns the refs of creates and updates, in order. */
  async write(writes: Write[]): Promise<RecordRef[]> {
    const refs: RecordRef[] = [];
    for (let i = 0; i < writes.length; i += WRITES_A_CALL) {
      const { data } = await this.agent.com.atproto.repo.applyWrites({
        repo: this.did,
        validate: false,
        writes: writes.slice(i, i + WRITES_A_CALL).map(toApi),
      });
      for (const result of data.results ?? []) {
        if ('uri' in result) refs.push({ uri: result.uri, cid: result.cid });
      }
    }
    return refs;
  }

  post(text: string, more: Record<string, unknown> = {}): Promise<RecordRef> {
    return this.create('app.bsky.feed.post', { text, createdAt: now(), ...more });
  }

  reply(to: RecordRef, text: string, root: RecordRef = to): Promise<RecordRef> {
    return this.post(text, { reply: { root, parent: to } });
  }

  like(subject: RecordRef): Promise<RecordRef> {
    return this.create('app.bsky.feed.like', { subject, createdAt: now() });
  }

  repost(subject: RecordRef): Promise<RecordRef> {
    return this.create('app.bsky.feed.repost', { subject, createdAt: now() });
  }

  follow(did: string): Promise<RecordRef> {
    return this.create('app.bsky.graph.follow', { subject: did, createdAt: now() });
  }

  block(did: string): Promise<RecordRef> {
    return this.create('app.bsky.graph.block', { subject: did, createdAt: now() });
  }

  profile(profile: Record<string, unknown>): Promise<RecordRef> {
    return this.put('app.bsky.actor.profile', 'self', profile);
  }
}

/** Makes an account `NAME.test` on the PDS (some 80 ms). */
export async function createAccount(pdsUrl: string, name: string): Promise<Account> {
  const agent = new AtpAgent({ service: pdsUrl });
  await agent.createAccount({ handle: `${name}.test`, email: `${name}@mail.test`, password: name });
  return new Account(agent);
}

/** Signs in to an account that `createAccount` made, also in an earlier process. */
export async function login(pdsUrl: string, name: string): Promise<Account> {
  const agent = new AtpAgent({ service: pdsUrl });
  await agent.login({ identifier: `${name}.test`, password: name });
  return new Account(agent);
}

function now(): string {
  return new Date().toISOString();
}

function toApi(write: Write) {
  const { action, collection, value } = write;
  const rkey = write.rkey as string;
  if (action === 'delete') return { $type: 'com.atproto.repo.applyWrites#delete' as const, collection, rkey };
  const record = { $type: collection, ...value };
  const $type = `com.atproto.repo.applyWrites#${action}` as 'com.atproto.repo.applyWrites#update';
  return { $type, collection, rkey, value: record };
}
