// Exact integers. The API's integers have up to 64 bits; a double keeps 53. What a double cannot hold becomes a BigInt.

// JSON.parse hands the digits as they were sent to the reviver ("source text access", in every browser since 2025).
export const EXACT = typeof JSON.rawJSON === 'function';

export function parse(text) {
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    return /^-?\d+$/.test(context?.source ?? '') ? BigInt(context.source) : value;
  });
}

// The sum of integers of either kind: exact, and a BigInt only where it must be.
export function sum(values) {
  let total = 0;
  for (const value of values) {
    const next = typeof total === 'number' && typeof value === 'number' ? total + value : NaN;
    total = Number.isSafeInteger(next) ? next : narrow(BigInt(total) + BigInt(value));
  }
  return total;
}

function narrow(value) {
  const double = Number(value);
  return Number.isSafeInteger(double) ? double : value;
}
