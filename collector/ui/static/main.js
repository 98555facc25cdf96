// The page: which question is asked how often, and which view draws the answer.

import { ask } from './api.js';
import { choice } from './choice.js';
import { byId, mark, write } from './dom.js';
import { EXACT } from './exact.js';
import { Poll } from './poll.js';
import { answered, reaching } from './reach.js';
import { choose, setting } from './settings.js';
import * as flows from './view/flows.js';
import * as ledger from './view/ledger.js';
import * as now from './view/now.js';
import * as series from './view/series.js';
import * as status from './view/status.js';
import * as talkers from './view/talkers.js';

const RANGES = [['5m', 'last 5 min'], ['1h', 'last hour'], ['all', 'all']];
const from = () => (setting('range') === 'all' ? null : `-${setting('range')}`);
// Periods in milliseconds. The probes speak once a second; what is summed over an hour need not be asked that often.
const PERIOD = { now: 1000, flows: 2000, ledger: 2000, probes: 2000, health: 3000, talkers: 4000, series: 4000 };

// Each question, asked for ever: who, how often, what.
const poll = (who, question) => new Poll(PERIOD[who], (signal) => reaching(who, signal, () => question(signal)));

const polls = {
  now: poll('now', async (signal) => now.draw(await ask('api/v1/now', { seconds: 120 }, signal))),
  health: poll('health', async (signal) => status.drawHealth(await ask('health', {}, signal))),
  probes: poll('probes', async (signal) => status.drawProbes(await ask('api/v1/probes', {}, signal))),
  ledger: poll('ledger', async (signal) => ledger.draw(await ask('api/v1/ledger', {}, signal))),
  talkers: poll('talkers', async (signal) => {
    const [key, measure] = [setting('talkers'), setting('measure')];
    const measures = [measure, ...talkers.MEASURES.filter((other) => other !== measure)].join();
    const answer = await ask('api/v1/top', { by: talkers.KEYS[key].by, measure: measures, limit: talkers.ROWS, from: from() }, signal);
    talkers.draw(answer, key, measure, filterBy);
  }),
  series: poll('series', async (signal) => {
    const key = setting('series');
    series.draw(await ask('api/v1/timeseries', { by: series.KEYS[key].by, measure: setting('measure'), limit: series.LIMIT, from: from() }, signal), key);
  }),
  flows: poll('flows', async (signal) => {
    if (byId('hold').getAttribute('aria-pressed') === 'true') return;
    await lastFlows(signal);
  }),
};

async function lastFlows(signal) {
  try {
    flows.draw(await ask('api/v1/flows', { limit: flows.ROWS, filter: setting('filter') }, signal));
    showRefusal(null);
  } catch (error) {
    if (error.kind !== 'refused') throw error;
    showRefusal(error);
    answered('flows');
  }
}

// What was refused, why, and how to mend it, beside the words themselves.
function showRefusal(failure) {
  write(byId('filter-error'), failure ? `${failure.value ?? failure.parameter}: ${failure.message}${failure.mend ? ` – ${failure.mend}` : ''}` : '');
  byId('flows').classList.toggle('refused', failure !== null);
  mark(byId('filter-words'), 'aria-invalid', failure ? 'true' : null);
}

function applyFilter(words) {
  byId('filter-words').value = words;
  byId('filter-clear').hidden = words === '';
  choose('filter', words);
  hold(false);
  polls.flows.now();
}

// From a row of the top talkers to its flows.
function filterBy(words) {
  applyFilter(words);
  byId('flows').focus({ preventScroll: true });
  byId('flows').scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}

function hold(held) {
  mark(byId('hold'), 'aria-pressed', String(held));
  write(byId('hold'), held ? 'Held' : 'Hold');
}

function finished() {
  polls.talkers.now();
  polls.series.now();
}

const options = (keys) => Object.entries(keys).map(([value, { words }]) => [value, words]);

choice(byId('range'), 'range', RANGES, finished);
choice(byId('measure'), 'measure', [['octets', 'octets'], ['packets', 'packets'], ['flows', 'flows']], finished);
choice(byId('talkers-by'), 'talkers', options(talkers.KEYS), () => polls.talkers.now());
choice(byId('series-by'), 'series', options(series.KEYS), () => polls.series.now());
byId('filter').addEventListener('submit', (event) => { event.preventDefault(); applyFilter(byId('filter-words').value.trim()); });
byId('filter').addEventListener('reset', (event) => { event.preventDefault(); applyFilter(''); });
byId('hold').addEventListener('click', () => { hold(byId('hold').getAttribute('aria-pressed') !== 'true'); polls.flows.now(); });
byId('filter-words').value = setting('filter');
byId('filter-clear').hidden = setting('filter') === '';
byId('rounding').hidden = EXACT;
ledger.start();
Object.values(polls).forEach((one) => one.now());
