// One account, as looked up.
import { count, safe } from './text.js';

/** What tables and directory say of an account. */
export function accountView(account, operator) {
  const { did, handle, pds, identityProblem, repo, records, actor } = account;
  const rows = [
    ['DID', `<code>${safe(did)}</code>`],
    ['Handle', handle === null ? '–' : `@${safe(handle)}`],
    ['PDS', identityProblem === null ? code(pds) : `<span class="warn">${safe(identityProblem)}</span>`],
    ['Records here', `${count(records.count)}${records.more ? ' and more' : ''}`],
    [
      'Repo',
      repo === null ? 'never seen' : `${safe(repo.state)}${repo.reason ? `: ${safe(repo.reason)}` : ''}`,
    ],
    ...(repo === null ? [] : repoRows(repo)),
    ['Actor', actor === null ? 'no row' : `indexed ${safe(time(actor.indexedAt))}${status(actor)}`],
  ];
  const list = rows.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('');
  return `<dl class="facts">${list}</dl>${operator ? acts(did) : ''}`;
}

function repoRows({ floor, head, liveRev, gapAt, gapReason, accountStatus, firstSeen, updatedAt }) {
  return [
    ['Newest whole fetch', code(floor)],
    ['Held up to', code(head)],
    ['Newest live commit', code(liveRev)],
    [
      'Gap',
      gapAt === null
        ? 'none'
        : `<span class="warn">since ${safe(time(gapAt))}: ${safe(gapReason ?? '')}</span>`,
    ],
    ['Account', safe(accountStatus ?? 'nothing heard')],
    ['First seen', safe(time(firstSeen))],
    ['Changed', safe(time(updatedAt))],
  ];
}

function status({ upstreamStatus }) {
  return upstreamStatus ? `, ${safe(upstreamStatus)}` : '';
}

function acts(did) {
  const of = (name, label) =>
    `<button type="button" data-act="${name}" data-did="${safe(did)}">${label}</button>`;
  return `<div class="acts">${of('backfill', 'Fetch and compare again')}${of('verify', 'Verify against its PDS')}</div>`;
}

function code(text) {
  return text === null ? '–' : `<code>${safe(text)}</code>`;
}

function time(text) {
  return String(text).slice(0, 19).replace('T', ' ');
}
