// Asks the server. Actions carry the page's own proof (CSRF).

async function json(path, options) {
  const answer = await fetch(path, { credentials: 'same-origin', ...options });
  const body = await answer.json().catch(() => ({ error: `HTTP ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(body.error), { status: answer.status });
  return body;
}

export function get(path) {
  return json(path, {});
}

/** @returns {Promise<{ message: string }>} what came of it */
export function act(name, given) {
  return json(`/api/actions/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': document.body.dataset.csrf },
    body: JSON.stringify(given),
  });
}
