// What is asked before an action, and the list of dead letters.
import { get } from './api.js';
import { safe } from './text.js';

const dialog = document.querySelector('#dialog');

const questions = {
  requeue: ({ stream, reason, ids }) => ({
    title: 'Put back?',
    text: `${ids ? 'This letter goes' : `Every letter with reason “${reason}” goes`} back to the end of ${stream}, with its tries forgotten. Rows are gated by rev: an old event undoes nothing.`,
    verb: 'Requeue',
  }),
  discard: ({ stream, reason, ids }) => ({
    title: 'Discard for good?',
    text: `${ids ? 'This letter' : `Every letter of ${stream} with reason “${reason}”`} is deleted. What it holds comes back only with the next fetch of its repo.`,
    verb: 'Discard',
    danger: true,
    why: true,
  }),
  unpark: ({ host }) => ({
    title: 'Ask this host again?',
    text: `${host} was left alone because it failed or asked for it. It is asked again at once, and parked again if it still fails.`,
    verb: 'Ask again now',
  }),
  pause: ({ service, host }) => ({
    title: `Pause ${service ?? host}?`,
    text: host
      ? `No copy of the backfiller asks ${host} for repos until it is resumed, also after a restart. They wait in repo_backfill; repos of other hosts go on.`
      : 'Every copy finishes what it has in hand and stands still until it is resumed, also after a restart. Streams before it grow up to their marks, then their producers wait.',
    verb: 'Pause',
    why: true,
  }),
  rewind: ({ host, stream, cursor }) => ({
    title: 'Set the cursor back?',
    text: `${host} in ${stream} stands at ${cursor || 'no cursor'}. From a lower number its events are read again: that takes time and changes nothing that is there already. Below the relay’s window it begins at its oldest event. A higher number leaves events out for good; their repos would have to be fetched again. The ingester has to be paused (or stopped).`,
    verb: 'Set the cursor',
    danger: true,
    why: true,
    fields: [
      ['cursor', 'New cursor', cursor],
      ['confirm', `Type ${host} to confirm`, ''],
    ],
  }),
};

/** @returns what the operator gave besides, or null when they would rather not */
export async function ask(name, given) {
  const question = questions[name]?.(given);
  if (!question) return {};
  const { title, text, verb, danger, fields = [], why } = question;
  const inputs = [...fields, ...(why ? [['why', 'Reason, for the audit', '']] : [])].map(
    ([field, label, value]) =>
      `<label for="ask-${field}">${safe(label)}</label><input id="ask-${field}" name="${field}" value="${safe(value)}" autocomplete="off" ${field === 'why' ? '' : 'required'}>`,
  );
  open(
    title,
    `<p>${safe(text)}</p>${inputs.join('')}<div class="acts end"><button type="button" data-close>Cancel</button><button class="${danger ? 'danger' : 'main'}" value="yes">${verb}</button></div>`,
  );
  const form = dialog.querySelector('form');
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  return dialog.returnValue === 'yes' ? Object.fromEntries(new FormData(form)) : null;
}

/** The letters of one class, a page at a time. */
export async function showLetters({ stream, reason }, operator, after = '') {
  const query = new URLSearchParams({ reason, ...(after && { after }) });
  let found;
  try {
    found = await get(`/api/dead/${stream}?${query}`);
  } catch (error) {
    return open('Dead letters', `<p class="problem">${safe(error.message)}</p>${closing}`);
  }
  const items = found.letters.map((letter) => item(letter, stream, operator)).join('');
  const more = found.next ? '<button type="button" id="more">Next page</button>' : '';
  open(
    `${stream}: ${reason}`,
    `<div class="letters">${items || '<p class="empty">None left.</p>'}</div><div class="acts end">${more}<button type="button" data-close>Close</button></div>`,
  );
  dialog
    .querySelector('#more')
    ?.addEventListener('click', () => showLetters({ stream, reason }, operator, found.next));
}

const closing = '<div class="acts end"><button type="button" data-close>Close</button></div>';

function item({ id, error, attempts, first, last, fields }, stream, operator) {
  const acts = operator
    ? `<div class="acts"><button type="button" data-letter="requeue" data-stream="${safe(stream)}" data-id="${safe(id)}">Requeue</button><button type="button" class="danger" data-letter="discard" data-stream="${safe(stream)}" data-id="${safe(id)}">Discard</button></div>`
    : '';
  return `<details><summary><code>${safe(id)}</code> <span>${safe(error)}</span></summary><p class="note">${attempts} tries, first ${safe(first ?? '')}, last ${safe(last ?? '')}</p><pre tabindex="0">${safe(readable(fields))}</pre>${acts}</details>`;
}

/** Fields hold JSON in strings. */
function readable(fields) {
  const parsed = Object.entries(fields).map(([name, text]) => {
    try {
      return [name, JSON.parse(text)];
    } catch {
      return [name, text];
    }
  });
  return JSON.stringify(Object.fromEntries(parsed), null, 2);
}

function open(title, body) {
  dialog.innerHTML = `<form method="dialog"><h2 id="dialog-title">${safe(title)}</h2>${body}</form>`;
  dialog.returnValue = '';
  if (!dialog.open) dialog.showModal();
}

dialog.addEventListener('click', ({ target }) => {
  if (target === dialog || target.closest('[data-close]')) return dialog.close('');
  const button = target.closest('[data-letter]');
  if (!button) return;
  const { letter: name, stream, id } = button.dataset;
  dialog.close('');
  dialog.dispatchEvent(new CustomEvent('letter', { bubbles: true, detail: { name, stream, ids: [id] } }));
});
