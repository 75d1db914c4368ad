// Keeps the page up to date, and does what its buttons say.

import { accountView } from './account.js';
import { act, get } from './api.js';
import { ask, showLetters } from './dialogs.js';
import { morph } from './morph.js';
import { renderPage } from './render.js';
import { safe } from './text.js';

const everyMs = 2_000;
const operator = document.body.dataset.role === 'operator';
const main = document.querySelector('#main');
const toast = document.querySelector('#toast');

async function refresh() {
  try {
    show(await get('/api/status'));
    link('live', 'ok');
  } catch (error) {
    if (error.status === 401) location.assign('/login');
    link(`no answer: ${error.message}`, 'bad');
  }
}

function show(overview) {
  const wanted = document.createElement('main');
  wanted.id = 'main';
  wanted.innerHTML = renderPage(overview, { operator });
  morph(main, wanted);
}

function link(text, tone) {
  const place = document.querySelector('#link');
  place.textContent = text;
  place.className = tone;
}

/** Looks again and again while the page is seen. */
async function follow() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, everyMs));
    if (!document.hidden) await refresh();
  }
}

function say(text, tone = 'ok') {
  toast.textContent = text;
  toast.className = `shown ${tone}`;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => {
    toast.className = '';
  }, 8_000);
}

async function perform(name, given) {
  try {
    const { message } = await act(name, given);
    say(message);
  } catch (error) {
    say(error.message, 'bad');
  }
  await refresh();
}

document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-act]');
  if (!button) return;
  const { act: name, ...given } = button.dataset;
  if (name === 'letters') return showLetters(given, operator);
  const confirmed = await ask(name, given);
  if (!confirmed) return;
  button.disabled = true;
  await perform(name, { ...given, ...confirmed });
  button.disabled = false;
  button.focus();
});

document.addEventListener('letter', async ({ detail: { name, ...given } }) => {
  const confirmed = await ask(name, given);
  if (confirmed) await perform(name, { ...given, ...confirmed });
});

document.querySelector('#lookup').addEventListener('submit', async (event) => {
  event.preventDefault();
  const found = document.querySelector('#found');
  found.innerHTML = '<p class="empty">Looking…</p>';
  try {
    const q = new FormData(event.target).get('q');
    found.innerHTML = accountView(await get(`/api/account?q=${encodeURIComponent(q)}`), operator);
  } catch (error) {
    found.innerHTML = `<p class="problem" role="alert">${safe(error.message)}</p>`;
  }
});

follow();
