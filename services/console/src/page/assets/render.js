// The page's sections, from the JSON of /api/status. Shared by the server (first
// load) and the browser (every look after that).
import { plot } from './plot.js';
import { bytes, count, rate, safe, span } from './text.js';

/** All sections of the page as HTML. */
export function renderPage(overview, { operator }) {
  return [
    problems(overview),
    summary(overview),
    plots(overview),
    backfill(overview),
    live(overview, operator),
    streams(overview),
    deadLetters(overview, operator),
    lookup(),
    hosts(overview, operator),
    services(overview, operator),
    storage(overview),
    acts(overview),
  ].join('');
}

function card(id, title, body, note = '') {
  const aside = note === '' ? '' : `<p class="note">${note}</p>`;
  return `<section class="card" id="${id}" aria-labelledby="${id}-title"><div class="head"><h2 id="${id}-title">${title}</h2>${aside}</div>${body}</section>`;
}

function unknown(what) {
  return `<p class="empty warn">${what} could not be looked at.</p>`;
}

function problems({ problems }) {
  if (problems.length === 0) return '<section id="problems" hidden></section>';
  const items = problems.map((text) => `<li>${safe(text)}</li>`).join('');
  return `<section class="card alarm" id="problems" role="alert"><h2>Not all could be looked at</h2><ul>${items}</ul></section>`;
}

function summary({ at, phase, live, repos, dead }) {
  const lags = (live ?? []).filter(({ feed, lagMs }) => feed === 'firehose' && lagMs !== null);
  const lag = lags.length > 0 ? Math.max(...lags.map(({ lagMs }) => lagMs)) / 1000 : null;
  const letters = dead?.reduce((sum, one) => sum + one.count, 0);
  const states = repos?.byState ?? {};
  return `<section class="summary" id="summary" aria-label="Summary"><div class="phase" data-phase="${phase.name}">
<p class="label">Phase</p><p class="big"><span class="dot" aria-hidden="true"></span>${phase.name}</p><p class="note">${safe(phase.sentence)}</p></div>
${tile('Live lag', span(lag), 'since the last safe event')}
${tile('Repos complete', count(repos && (states.complete ?? 0)), repos ? `of ${count(repos.total)} seen` : 'unknown')}
${tile('Dead letters', count(letters), letters > 0 ? 'set aside, see below' : 'nothing set aside', letters > 0 ? 'warn' : '')}
<p class="stamp">As of <time id="stamp" datetime="${at}">${at.slice(11, 19)}</time> UTC <span id="link" class="ok">live</span></p></section>`;
}

function tile(label, value, note, tone = '') {
  return `<div class="tile ${tone}"><p class="label">${label}</p><p class="big">${value}</p><p class="note">${note}</p></div>`;
}

function plots({ history }) {
  const of = (value) => history.map((sample) => [sample.at, value(sample)]);
  const waiting = (name) => (sample) => sample.length[name] ?? null;
  const body = [
    plot(
      'Live lag',
      of(({ lag }) => lag),
      span,
    ),
    plot('Repos done a second', rates(history), rate),
    plot('Repos waiting', of(waiting('repo_backfill')), count),
    plot('Live entries waiting', of(waiting('firehose_live')), count),
    plot('Fetched entries waiting', of(waiting('firehose_backfill')), count),
    plot(
      'Redis memory',
      of(({ redis }) => redis),
      bytes,
    ),
  ].join('');
  return card('plots', 'The last hour', `<div class="plots">${body}</div>`);
}

function rates(history) {
  return history.slice(1).map((sample, i) => {
    const before = history[i];
    if (sample.done === null || before.done === null) return [sample.at, null];
    return [sample.at, Math.max(0, ((sample.done - before.done) * 1000) / (sample.at - before.at))];
  });
}

function backfill({ repos, listings }) {
  if (!repos) return card('backfill', 'Backfill', unknown('PostgreSQL'));
  const { byState, total, gaps, estimate } = repos;
  const done = (byState.complete ?? 0) + (byState.unavailable ?? 0) + (byState.failed ?? 0);
  const all = Math.max(total, done + (estimate.waiting ?? 0));
  const share = all === 0 ? 0 : (100 * done) / all;
  const eta = estimate.etaSeconds === null ? 'not to be said yet' : span(estimate.etaSeconds);
  const rows = [
    ['Discovered', count(total), 'repos listed and looked at, or heard of live'],
    [
      'Pending',
      count(estimate.waiting),
      'entries of repo_backfill, those put off too; a repo may have several',
    ],
    ['Running', count(estimate.running), 'in the hands of a backfiller'],
    ['On the way', count((byState.fetching ?? 0) + (byState.sent ?? 0)), 'fetched, not all applied yet'],
    ['Complete', count(byState.complete ?? 0), 'every part applied'],
    ['Failed', count(byState.failed ?? 0), 'after the last try'],
    ['Unavailable', count(byState.unavailable ?? 0), 'deactivated, taken down, or without a repo'],
    ['With a gap', count(gaps), 'a live commit is missing: fetched again by itself'],
    ['Rate', `${rate(estimate.perSecond)} /s`, 'repos done, over the last ten minutes'],
  ];
  const figures = rows.map(
    ([name, value, what]) => `<div><dt>${name}</dt><dd>${value}<small>${what}</small></dd></div>`,
  );
  const lists = (listings ?? []).map(
    ({ host, state, skipped }) =>
      `<li><code>${safe(host)}</code> ${badge(state, state === 'done' ? 'good' : 'busy')}${skipped > 0 ? ` ${badge(`${skipped} ranges left out`, 'warn')}` : ''}</li>`,
  );
  return card(
    'backfill',
    'Backfill',
    `<div class="progress"><progress max="100" value="${share.toFixed(1)}" aria-label="Repos done">${share.toFixed(1)} %</progress><b>${share.toFixed(1)} %</b></div>
<p class="eta"><b>Time left: ${eta}</b> <span>${safe(estimate.assumption)}</span></p>
<dl class="figures">${figures.join('')}</dl><h3>Lists of repos</h3><ul class="plain">${lists.join('')}</ul>`,
    `counted at ${repos.countedAt.slice(11, 19)} UTC`,
  );
}

function badge(text, tone) {
  return `<span class="badge ${tone}">${safe(text)}</span>`;
}

function live({ live }, operator) {
  if (!live) return card('live', 'Live sources', unknown('Redis'));
  const rows = live.map((source) => {
    const { feed, stream, host, cursor, lagMs, headroomMs, followed } = source;
    const low = headroomMs !== null && headroomMs < 6 * 3_600_000;
    const room =
      headroomMs === null ? (feed === 'labels' ? 'all is kept' : '–') : span(Math.max(0, headroomMs / 1000));
    const act = operator
      ? cell('', button('rewind', 'Set back…', { stream, host, cursor: cursor ?? '' }))
      : '';
    return `<tr>${cell('Source', `<code>${safe(host)}</code> ${badge(followed ? 'followed' : 'not followed', followed ? 'good' : 'warn')}`)}${cell('Feed', feed)}${cell('Cursor', `<code>${safe(cursor ?? 'none')}</code>`, 'n')}${cell('Lag', lagMs === null ? 'unknown' : span(lagMs / 1000), 'n')}${cell('Replay headroom', `<span class="${low ? 'warn' : ''}">${room}</span>`, 'n')}${act}</tr>`;
  });
  const head = [
    'Source',
    'Feed',
    'Cursor',
    'Lag',
    'Replay headroom',
    ...(operator ? ['<span class="sr">Action</span>'] : []),
  ];
  return card(
    'live',
    'Live sources',
    table(head, rows, [2, 3, 4]),
    'Headroom: how much longer the relay keeps what comes next, as CONSOLE_REPLAY_WINDOW_HOURS has it.',
  );
}

function cell(label, body, kind = '') {
  return `<td data-label="${label}"${kind ? ` class="${kind}"` : ''}><div>${body}</div></td>`;
}

function table(head, rows, numeric = []) {
  const titles = head.map(
    (title, i) => `<th scope="col"${numeric.includes(i) ? ' class="n"' : ''}>${title}</th>`,
  );
  return `<table><thead><tr>${titles.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function button(action, label, data, tone = '') {
  const given = Object.entries(data).map(([name, value]) => ` data-${name}="${safe(value)}"`);
  return `<button type="button" class="${tone}" data-act="${action}"${given.join('')}>${label}</button>`;
}

function streams({ streams, history, at }) {
  if (!streams) return card('streams', 'Streams', unknown('Redis'));
  return card(
    'streams',
    'Streams',
    `<div class="streams">${streams.map((one) => stream(one, history, Date.parse(at))).join('')}</div>`,
  );
}

function stream(one, history, now) {
  const share = Math.min(100, Math.max((100 * one.length) / one.mark, (100 * one.bytes) / one.markBytes));
  const drain = drainText(history, one.stream, one.length + one.parked, now);
  const lag = one.lag === 'unknown' ? badge('unknown', 'warn') : count(one.lag);
  const figures = [
    ['Entries', `${count(one.length)}<small>mark ${count(one.mark)}</small>`],
    ['Memory', `${bytes(one.bytes)}<small>mark ${bytes(one.markBytes)}</small>`],
    ['Lag', `${lag}<small>not yet delivered</small>`],
    [
      'Pending',
      `${count(one.pending)}<small>${one.oldestPendingMs === null ? 'none waits' : `oldest ${span(one.oldestPendingMs / 1000)}`}</small>`,
    ],
    [
      'Put off',
      `${count(one.parked)}<small>${one.nextWakeMs === null ? 'none' : `next in ${span(one.nextWakeMs / 1000)}`}</small>`,
    ],
    ['Time to drain', drain],
  ].map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`);
  const members = one.members.map(
    ({ name, pending, idleMs }) =>
      `<li><code>${safe(name)}</code><span>${count(pending)} pending, idle ${span(idleMs / 1000)}</span></li>`,
  );
  const who = one.exists
    ? `<details><summary>${count(one.members.length)} ${one.members.length === 1 ? 'consumer' : 'consumers'} in ${safe(one.group)}</summary><ul class="plain members">${members.join('')}</ul></details>`
    : `<p class="empty">Nobody has read it yet.</p>`;
  return `<article class="stream"><h3><code>${safe(one.stream)}</code></h3><div class="progress"><progress max="100" value="${share.toFixed(2)}" aria-label="Share of the high-water mark">${share.toFixed(0)} %</progress><b>${share < 10 ? share.toFixed(1) : share.toFixed(0)} % of mark</b></div><dl class="figures tight">${figures.join('')}</dl>${who}</article>`;
}

/** At the pace of the last ten minutes. */
function drainText(history, name, length, now) {
  if (length === 0) return 'empty';
  const first = history.find((sample) => sample.at >= now - 600_000 && sample.length[name] !== undefined);
  if (!first || now - first.at < 5_000) return '–<small>too early to say</small>';
  const perSecond = (first.length[name] - length) / ((now - first.at) / 1000);
  if (perSecond <= 0) return '–<small>it does not shrink</small>';
  return `${span(length / perSecond)}<small>at ${rate(perSecond)} /s</small>`;
}

function deadLetters({ dead }, operator) {
  if (!dead) return card('dead', 'Dead letters', unknown('Redis'));
  if (dead.length === 0)
    return card('dead', 'Dead letters', '<p class="empty">None. Nothing was set aside.</p>');
  const rows = dead.map(({ stream, reason, count: n, error, newest, partial }) => {
    const data = { stream, reason };
    const acts = operator
      ? button('requeue', 'Requeue all', data) + button('discard', 'Discard all', data, 'danger')
      : '';
    return `<tr>${cell('Stream', `<code>${safe(stream)}</code>`)}${cell('Reason', `<b>${safe(reason)}</b>`)}${cell('Letters', `${count(n)}${partial ? '+' : ''}`, 'n')}${cell('Newest', safe((newest ?? '').slice(0, 19).replace('T', ' ')))}${cell('Last error', `<span class="clip">${safe(error)}</span>`)}${cell('', `<div class="acts">${button('letters', 'Show', data)}${acts}</div>`)}</tr>`;
  });
  const head = ['Stream', 'Reason', 'Letters', 'Newest', 'Last error', '<span class="sr">Actions</span>'];
  return card(
    'dead',
    'Dead letters',
    table(head, rows, [2]),
    'Entries that were set aside after their last try, by reason.',
  );
}

function lookup() {
  return card(
    'account',
    'One account',
    `<form id="lookup" role="search" data-keep><label for="q">Handle or DID</label><div class="row"><input id="q" name="q" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="alice.example.com or did:plc:…" required><button class="main">Look up</button></div></form><div id="found" aria-live="polite" data-keep></div>`,
  );
}

const duties = {
  'ingester-firehose': 'follows relays',
  'ingester-backfill': 'lists repos',
  'ingester-labels': 'follows labelers',
  'repo-backfiller': 'fetches repos',
  'indexer-live': 'writes live events and labels',
  'indexer-backfill': 'writes fetched repos',
};

function services({ pauses }, operator) {
  if (!pauses) return card('services', 'Services', unknown('Redis'));
  const items = Object.entries(duties).map(([service, duty]) => {
    const pause = pauses[service];
    const since = pause ? ` since ${pause.at.slice(0, 16).replace('T', ' ')} UTC` : '';
    const why = pause?.reason ? `: ${safe(pause.reason)}` : '';
    const state = pause ? badge('paused', 'warn') : badge('may run', 'good');
    const act = operator ? button(pause ? 'resume' : 'pause', pause ? 'Resume' : 'Pause', { service }) : '';
    return `<li><span><code>${service}</code> ${state}<small>${duty}${since}${why}</small></span>${act}</li>`;
  });
  return card(
    'services',
    'Services',
    `<ul class="plain services">${items.join('')}</ul>`,
    'A paused service finishes what it has in hand; nothing is lost, and what comes waits.',
  );
}

function hosts({ hosts }, operator) {
  if (!hosts) return card('hosts', 'Hosts', unknown('Redis'));
  const { parked, failing, paused, shown } = hosts;
  if (shown.length === 0)
    return card('hosts', 'Hosts', '<p class="empty">No host fails, none is left alone or paused.</p>');
  const head = [
    'Host',
    'Left alone for',
    'Strikes',
    'Failures in a row',
    'Last error',
    ...(operator ? ['<span class="sr">Actions</span>'] : []),
  ];
  const more = parked + failing + paused > shown.length ? '; not all may be shown' : '';
  return card(
    'hosts',
    'Hosts',
    table(
      head,
      shown.map((one) => hostRow(one, operator)),
      [1, 2, 3],
    ),
    `${count(failing)} with errors since their last success, ${count(parked)} left alone for a while, ${count(paused)} paused${more}.`,
  );
}

function hostRow({ host, parkedMs, strikes, failures, error, failedMs, pause }, operator) {
  const why = pause?.reason ? `<small>${safe(pause.reason)}</small>` : '';
  const state = pause ? ` ${badge('paused', 'warn')}${why}` : '';
  const last = failedMs === null ? '–' : `${safe(error ?? '')}<small>${span(failedMs / 1000)} ago</small>`;
  const acts = [
    ...(parkedMs === null ? [] : [button('unpark', 'Ask again now', { host })]),
    pause ? button('resume', 'Resume', { host }) : button('pause', 'Pause', { host }),
  ];
  return `<tr>${cell('Host', `<code>${safe(host)}</code>${state}`)}${cell('Left alone for', parkedMs === null ? '–' : span(parkedMs / 1000), 'n')}${cell('Strikes', count(strikes), 'n')}${cell('Failures in a row', count(failures), 'n')}${cell('Last error', `<span class="clip">${last}</span>`)}${operator ? cell('', `<div class="acts">${acts.join('')}</div>`) : ''}</tr>`;
}

function storage({ postgres, redis, disks }) {
  const parts = [];
  if (redis) {
    const used = redis.maxBytes > 0 ? (100 * redis.usedBytes) / redis.maxBytes : null;
    const max = redis.maxBytes > 0 ? `of ${bytes(redis.maxBytes)} (maxmemory)` : 'no maxmemory is set';
    parts.push(
      store(
        'Redis',
        bytes(redis.usedBytes),
        max,
        used,
        redis.durable ? badge('durable', 'good') : badge('append-only file is off or failing', 'warn'),
      ),
    );
  } else parts.push(`<div>${unknown('Redis')}</div>`);
  if (postgres) {
    const { connections, maxConnections, hitRatio, oldestTransactionSeconds } = postgres;
    const hits = hitRatio === null ? '' : `${(100 * hitRatio).toFixed(1)} % of reads from memory, `;
    parts.push(
      store(
        `PostgreSQL ${safe(postgres.version.split(' ')[0])}`,
        bytes(postgres.bytes),
        `${hits}longest transaction ${span(oldestTransactionSeconds)}`,
        (100 * connections) / maxConnections,
        `${count(connections)} of ${count(maxConnections)} connections`,
      ),
    );
  } else parts.push(`<div>${unknown('PostgreSQL')}</div>`);
  for (const { path, freeBytes, totalBytes } of disks) {
    parts.push(
      store(
        `Disk <code>${safe(path)}</code>`,
        `${bytes(freeBytes)} free`,
        `of ${bytes(totalBytes)}`,
        (100 * (totalBytes - freeBytes)) / totalBytes,
        '',
      ),
    );
  }
  return card('storage', 'Storage', `<div class="stores">${parts.join('')}</div>`);
}

function acts({ acts }) {
  if (!acts) return card('acts', 'Recent actions', unknown('PostgreSQL'));
  if (acts.length === 0) return card('acts', 'Recent actions', '<p class="empty">Nobody has acted yet.</p>');
  const rows = acts.map(({ at, actor, action, subject, reason, outcome }) => {
    const why = reason ? ` <small>${safe(reason)}</small>` : '';
    const end = outcome === null ? badge('not finished', 'warn') : safe(outcome);
    const said = `<span class="clip">${end}</span>`;
    return `<tr>${cell('Time', String(at).slice(0, 19).replace('T', ' '))}${cell('Who', safe(actor))}${cell('Action', `<b>${safe(action)}</b>`)}${cell('Subject', `<span class="clip">${safe(subject)}</span>${why}`)}${cell('Outcome', said)}</tr>`;
  });
  return card('acts', 'Recent actions', table(['Time', 'Who', 'Action', 'Subject', 'Outcome'], rows));
}

function store(name, value, note, share, extra) {
  const bar =
    share === null
      ? ''
      : `<div class="progress"><progress max="100" value="${share.toFixed(1)}" aria-label="In use">${share.toFixed(0)} %</progress><b>${share.toFixed(0)} %</b></div>`;
  return `<div class="store"><h3>${name}</h3><p class="big">${value}</p><p class="note">${note}</p>${bar}<p class="note">${extra}</p></div>`;
}
