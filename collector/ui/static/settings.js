// What the reader chose, kept in the address: a reload, a bookmark or a colleague gets the same page.

const DEFAULTS = { range: '5m', measure: 'octets', talkers: 'src', series: 'proto', books: '', filter: '' };

const fromAddress = new URLSearchParams(location.hash.slice(1));
const chosen = Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, fromAddress.get(name) ?? value]));

export const setting = (name) => chosen[name];

export function choose(name, value) {
  chosen[name] = value;
  const others = Object.entries(chosen).filter(([key, now]) => now !== DEFAULTS[key]);
  const hash = new URLSearchParams(others).toString();
  history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search);
}
