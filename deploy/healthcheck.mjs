// Exits 0 when the process on PORT answers /healthz, else 1 with a line that says why.
// Liveness only: an outage of Redis or PostgreSQL must not have services restarted.
// Usage: node deploy/healthcheck.mjs PORT
const port = Number(process.argv[2]);
try {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4000) });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
} catch (error) {
  console.error(`/healthz on port ${port}: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
