// Numbers, times and durations as people read them; the exact value goes into a title.

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z'];
const NANOSECONDS = 1_000_000_000n;
const NARROW_SPACE = '\u202f';
const SPACE = '\u00a0';

// Three significant digits: { number: '1.24', prefix: 'G' }.
export function si(value) {
  let scaled = Number(value), step = 0;
  // 999.5 would be written as 1000.
  while (Math.abs(scaled) >= 999.5 && step < PREFIXES.length - 1) {
    scaled /= 1000;
    step += 1;
  }
  if (step === 0 && Number.isInteger(scaled)) return { number: String(scaled), prefix: '' };
  const size = Math.abs(scaled);
  return { number: scaled.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0), prefix: PREFIXES[step] };
}

export function withUnit(value, unit = '') {
  const { number, prefix } = si(value);
  return prefix + unit ? `${number}${SPACE}${prefix}${unit}` : number;
}

// All digits, in groups of three.
export const exact = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);

// Exact while it is short, else three digits.
export const count = (value) => (value < 100_000 ? exact(value) : withUnit(value));

export const percent = (part, whole) => (Number(whole) === 0 ? 0 : (100 * Number(part)) / Number(whole));

export const seconds = (nanoseconds) => Number(nanoseconds) / 1e9;

export function duration(nanoseconds) {
  const value = Number(nanoseconds);
  if (value === 0) return '0';
  if (value < 1e3) return `${value}${SPACE}ns`;
  if (value < 1e6) return `${trim(value / 1e3)}${SPACE}µs`;
  if (value < 1e9) return `${trim(value / 1e6)}${SPACE}ms`;
  if (value < 60e9) return `${trim(value / 1e9)}${SPACE}s`;
  const whole = Math.floor(value / 1e9);
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([size]) => whole >= size);
  return parts.slice(first, first + 2)
    .map(([size, unit], i) => `${Math.floor((i === 0 ? whole : whole % parts[first][0]) / size)}${SPACE}${unit}`).join(' ');
}

const trim = (value) => (value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0));

const two = (value) => String(value).padStart(2, '0');

// The reader's own clock; ZONE says which, and the title of a time gives UTC to the nanosecond.
export const ZONE = (() => {
  const east = -new Date().getTimezoneOffset();
  if (east === 0) return 'UTC';
  const size = Math.abs(east);
  return `UTC${east < 0 ? '−' : '+'}${Math.floor(size / 60)}${size % 60 ? `:${two(size % 60)}` : ''}`;
})();

const moment = (nanoseconds) => new Date(Number(BigInt(nanoseconds) / 1_000_000n));

export const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

export function clock(nanoseconds, { milliseconds = false } = {}) {
  const date = moment(nanoseconds);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return milliseconds ? `${time}.${String(date.getMilliseconds()).padStart(3, '0')}` : time;
}

// { day, time }: the day is empty when it is today.
export function when(nanoseconds, options) {
  const date = day(moment(nanoseconds));
  return { day: date === day(new Date()) ? '' : date, time: clock(nanoseconds, options) };
}

export function whenText(nanoseconds) {
  const { day: date, time } = when(nanoseconds);
  return date ? `${date} ${time}` : time;
}

// RFC 3339, UTC, all nine digits.
export function rfc3339(nanoseconds) {
  const value = BigInt(nanoseconds);
  const fraction = String(value % NANOSECONDS).padStart(9, '0');
  return `${new Date(Number(value / NANOSECONDS) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

export function ago(nanoseconds) {
  const past = Date.now() * 1e6 - Number(nanoseconds);
  return past < 2e9 ? 'just now' : past < 60e9 ? `${Math.floor(past / 1e9)}${SPACE}s ago` : `${duration(past)} ago`;
}
