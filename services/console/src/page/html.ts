import { renderPage } from './assets/render.js';
import { safe } from './assets/text.js';
import type { Visitor } from './auth.ts';
import type { Overview } from './overview.ts';

/** The status page with its first figures in place: it can be read before (and without) its script. */
export function statusPage(overview: Overview, { role, by, csrf }: Visitor): string {
  const leave =
    by === 'session'
      ? '<form method="post" action="/logout"><button class="quiet">Sign out</button></form>'
      : '';
  return document(
    'Headwater',
    `<body data-role="${role}" data-csrf="${safe(csrf)}">
<a class="skip" href="#main">To the figures</a>
<header><div class="bar"><h1><img src="/assets/mark.svg" alt="" width="28" height="28">Headwater</h1>
<div class="who"><span class="tag">${role}</span>${leave}</div></div></header>
<noscript><p class="notice">Without JavaScript the figures are those of the moment when the page was loaded.</p></noscript>
<main id="main">${renderPage(overview, { operator: role === 'operator' })}</main>
<dialog id="dialog" aria-labelledby="dialog-title"></dialog>
<div id="toast" role="status" aria-live="polite"></div>
<script type="module" src="/assets/app.js"></script></body>`,
  );
}

/** Asks for a token. */
export function loginPage(problem = ''): string {
  const said = problem === '' ? '' : `<p class="problem" role="alert">${safe(problem)}</p>`;
  return document(
    'Sign in – Headwater',
    `<body class="login"><main><h1><img src="/assets/mark.svg" alt="" width="36" height="36">Headwater</h1>
<form method="post" action="/login" class="card"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
${said}<button class="main">Sign in</button>
<p class="hint">The viewer's token shows the page; the operator's may act, too.</p></form></main></body>`,
  );
}

function document(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="/assets/mark.svg"><link rel="stylesheet" href="/assets/style.css"></head>${body}</html>`;
}
