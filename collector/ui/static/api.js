// One question to the collector. Either an answer, or a Failure that says which of three things went wrong.

import { parse } from './exact.js';

// Longer than the slowest query that the page asks, short enough that a dead collector shows.
const PATIENCE_MILLISECONDS = 15000;

export class Failure extends Error {
  // kind: `unreachable` (nobody answers), `refused` (400: a parameter) or `failed` (anything else).
  constructor(kind, words) {
    super(words.error);
    this.kind = kind;
    Object.assign(this, { parameter: null, value: null, mend: null }, words);
  }
}

export async function ask(path, parameters, signal) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== ''));
  const url = `${path}${query.size ? `?${query}` : ''}`;
  const signals = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MILLISECONDS)]);
  let response, text;
  try {
    response = await fetch(url, { signal: signals, headers: { accept: 'application/json' } });
    text = await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Failure('unreachable', { error: error.name === 'TimeoutError' ? `no answer to ${path} within 15 s` : 'the collector does not answer' });
  }
  // A store that stopped taking rows answers /health with 503 and a body worth showing.
  if (response.ok || (response.status === 503 && path === 'health')) return answer(path, text);
  throw refusal(path, response.status, text);
}

function answer(path, text) {
  try {
    return parse(text);
  } catch {
    throw new Failure('failed', { error: `the answer to ${path} is not JSON` });
  }
}

function refusal(path, status, text) {
  let words = null;
  try {
    words = parse(text);
  } catch {
    // Not ours (a proxy's page, say): the status has to do.
  }
  const kind = status === 400 ? 'refused' : 'failed';
  return new Failure(kind, words?.error ? words : { error: `${path} answered ${status}` });
}
