// A row of radio buttons: one of a few, with arrow keys and a screen reader for free.

import { el } from './dom.js';
import { choose, setting } from './settings.js';

// options: [value, words, title?]. An unknown value of the address falls back to the first.
export function choice(fieldset, name, options, changed) {
  if (!options.some(([value]) => value === setting(name))) choose(name, options[0][0]);
  for (const [value, words, title] of options) {
    const input = el('input', { type: 'radio', name, value, change: () => { choose(name, value); changed(); } });
    input.checked = value === setting(name);
    fieldset.append(el('label', { title }, input, el('span', {}, words)));
  }
}
