// Whether the collector answers. One line at the top says so; what stands below is then old, and is drawn so.

import { byId, write } from './dom.js';

const failing = new Map();
let lastAnswer = null;

export function answered(who) {
  lastAnswer = new Date();
  if (failing.delete(who)) show();
}

export function failed(who, failure) {
  failing.set(who, failure);
  show();
}

function show() {
  const notice = byId('notice');
  const [failure] = [...failing.values()].sort((a, b) => (b.kind === 'unreachable') - (a.kind === 'unreachable'));
  notice.hidden = !failure;
  document.body.classList.toggle('stale', failure?.kind === 'unreachable');
  if (failure) write(notice, words(failure));
}

function words(failure) {
  const since = lastAnswer ? ` Last answer at ${lastAnswer.toTimeString().slice(0, 8)}; asking again.` : ' Asking again.';
  if (failure.kind === 'unreachable') return `Collector unreachable: ${failure.message}.${since}`;
  return ['The collector answers with an error:', failure.message, failure.value === null ? '' : `(${failure.value})`, failure.mend ?? ''].filter(Boolean).join(' ');
}

// Runs one question and keeps the books of reaching.
export async function reaching(who, signal, question) {
  try {
    await question();
    answered(who);
  } catch (error) {
    if (signal.aborted) throw error;
    if (error.name !== 'Failure' && !error.kind) throw error;
    failed(who, error);
  }
}
