/** What is learnt of accounts, and what follows from it besides their visibility. */
import { addActors, writeStatuses } from './actors.ts';
import { planEntry, type Repo } from './decide.ts';
import type { Client } from './pool.ts';
import type { AccountState } from './prepare.ts';
import { saveRepos } from './repos.ts';
import { together } from './together.ts';

/** Takes what was learnt of an account, as an account event of that time would be taken. */
export async function saveAccount(
  client: Client,
  before: Repo,
  account: AccountState | undefined,
): Promise<void> {
  const { repo } = planEntry(before, {
    did: before.did,
    live: true,
    ops: [],
    account,
    refused: [],
    drops: [],
  });
  const isHere = repo.state !== 'deleted';
  if (isHere && !repo.actor) await addActors(client, [repo], Date.now());
  else if (repo.account !== before.account) await writeStatuses(client, [repo]);
  if (repo.account !== before.account) await noteDepartures(client, [repo]);
  await saveRepos(client, [{ ...repo, actor: repo.actor || isHere }]);
}

const say = {
  name: 'departure said',
  text: `INSERT INTO headwater.departure (did, said_at, due)
    SELECT did, to_timestamp(time / 1000.0), now() FROM unnest($1::text[], $2::float8[]) AS u(did, time)
    ON CONFLICT (did) DO UPDATE SET said_at = excluded.said_at`,
};

const unsay = { name: 'departure ended', text: 'DELETE FROM headwater.departure WHERE did = ANY($1)' };

/** Begins and ends departures of repos whose account status has changed. Their locks are held. */
export async function noteDepartures(client: Client, repos: readonly Repo[]): Promise<void> {
  const [gone, here] = [repos.filter(isGone), repos.filter((repo) => !isGone(repo))];
  const times = gone.map((repo) => repo.account!.time);
  await together(
    gone.length > 0 && client.query({ ...say, values: [gone.map((repo) => repo.did), times] }),
    here.length > 0 && client.query({ ...unsay, values: [here.map((repo) => repo.did)] }),
  );
}

/** Whether the last word on an account is that it was deleted. */
export function isGone({ account }: Repo): boolean {
  return account !== null && !account.active && account.status === 'deleted';
}
