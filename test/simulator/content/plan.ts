import type { Random } from './random.ts';

/** How the records of the network divide, by kind. */
const SHARES = {
  like: 0.55,
  follow: 0.165,
  post: 0.14,
  repost: 0.075,
  block: 0.03,
  listitem: 0.015,
  list: 0.002,
  threadgate: 0.006,
  postgate: 0.003,
  listblock: 0.002,
  generator: 0.001,
  starterpack: 0.001,
  verification: 0.001,
  foreign: 0.008,
} as const;

export type Kind = keyof typeof SHARES;
export type Plan = Record<Kind, number> & { profile: number; declaration: number };

/** How many records of each kind a repo has, of about `mean` in all unless `size` says how many. */
export function planOf(random: Random, size: number | undefined, mean: number): Plan {
  const wanted = size ?? sizeOf(random, mean);
  const plan = { profile: 0, declaration: 0 } as Plan;
  for (const kind of Object.keys(SHARES) as Kind[]) {
    plan[kind] = Math.floor(wanted * SHARES[kind] + random.next());
  }
  if (wanted === 0) return emptied(plan);
  plan.profile = random.chance(0.95) ? 1 : 0;
  plan.declaration = random.chance(0.15) ? 1 : 0;
  plan.threadgate = Math.min(plan.threadgate, plan.post);
  plan.postgate = Math.min(plan.postgate, plan.post);
  if (plan.list === 0) plan.listitem = Math.min(plan.listitem, 3);
  if (plan.listitem + plan.starterpack > 0) plan.list = Math.max(plan.list, 1);
  return plan;
}

/** Log-normal, cut at thirty times the mean; one repo of a hundred is empty. */
function sizeOf(random: Random, mean: number): number {
  if (random.chance(0.01)) return 0;
  const gauss = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return Math.min(Math.ceil(mean * Math.exp(gauss - 0.5)), mean * 30);
}

function emptied(plan: Plan): Plan {
  for (const kind of Object.keys(plan) as (keyof Plan)[]) plan[kind] = 0;
  return plan;
}
