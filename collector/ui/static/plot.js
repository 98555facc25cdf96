// Stacked areas over time on uPlot: the one shape that this page draws.

/* global uPlot */

import { el, write } from './dom.js';
import { clock, day } from './figures.js';

const scheme = matchMedia('(prefers-color-scheme: dark)');
const PALETTE_SIZE = 8;
// The height of a plot that has nothing to show: labels but the zero would say more than is known.
const EMPTY_MAXIMUM = 1;

// A colour of theme.css. The canvas cannot read custom properties itself.
export const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const seriesInk = (index) => `series-${index % PALETTE_SIZE}`;

export class Plot {
  #root; #options; #plot = null; #shape = ''; #shown = null; #readout = el('div', { class: 'readout' });

  // options: { height, axis(value) -> text, read(index) -> text or null, paint(uplot) after the areas, stepped }
  constructor(root, options) {
    this.#root = root;
    this.#options = options;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(root);
    scheme.addEventListener('change', () => { this.#shape = ''; if (this.#shown) this.show(...this.#shown); });
  }

  // layers: [{ ink, values }], the lowest first; values may be null where nothing is known.
  show(times, layers, range) {
    this.#shown = [times, layers, range];
    const shape = layers.map((layer) => layer.ink).join();
    const data = [times, ...stack(layers)];
    if (shape !== this.#shape || !this.#plot) this.#build(layers, shape);
    this.#plot.batch(() => {
      this.#plot.setData(data, false);
      this.#plot.setScale('x', { min: range[0], max: range[1] });
    });
    this.#read(this.#plot);
  }

  #size() {
    return { width: Math.max(this.#root.clientWidth, 120), height: this.#options.height };
  }

  #build(layers, shape) {
    this.#plot?.destroy();
    this.#root.replaceChildren(this.#readout);
    this.#shape = shape;
    this.#plot = new uPlot({
      ...this.#size(), legend: { show: false }, padding: [10, 24, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: true, auto: false }, y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : EMPTY_MAXIMUM] } },
      axes: [axis({ size: 26, space: 90, values: (_u, splits) => labels(splits) }),
        axis({ size: 76, space: 26, values: (u, splits) => splits.map((value) => (value > 0 && u.scales.y.max === EMPTY_MAXIMUM ? '' : this.#options.axis(value))) })],
      // The top of the stack first, so that each lower area is drawn over it.
      series: [{}, ...[...layers].reverse().map((layer) => this.#series(ink(layer.ink)))],
      hooks: { draw: [(u) => this.#options.paint?.(u)], setCursor: [(u) => this.#read(u)] },
    }, undefined, this.#root);
  }

  #series(colour) {
    const paths = this.#options.stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear();
    // Outlines of hundreds of buckets would be all that is seen.
    const [width, strength] = this.#options.stepped ? [0, 78] : [1.25, 58];
    return { stroke: colour, fill: `color-mix(in srgb, ${colour} ${strength}%, ${ink('panel')})`, width, points: { show: false }, paths, spanGaps: false };
  }

  #read(u) {
    const index = u.cursor.idx;
    const text = index === null || index === undefined || u.cursor.left < 0 ? null : this.#options.read(index);
    this.#readout.hidden = !text;
    if (text) write(this.#readout, text);
  }
}

// Cumulative values from the bottom, handed to uPlot from the top.
function stack(layers) {
  const sums = [];
  let below = null;
  for (const { values } of layers) {
    const under = below;
    below = values.map((value, i) => (value === null && (under?.[i] ?? null) === null ? null : (value ?? 0) + (under?.[i] ?? 0)));
    sums.unshift(below);
  }
  return sums;
}

function axis(own) {
  const grid = { stroke: ink('grid'), width: 1 };
  return { stroke: ink('quiet'), font: '11px Inter, system-ui, sans-serif', grid, ticks: { show: false }, gap: 6, ...own };
}

// Times of day; a label that begins a day says which.
function labels(splits) {
  const fine = splits.length > 1 && splits[1] - splits[0] < 60;
  return splits.map((split) => {
    const text = clock(BigInt(Math.round(split)) * 1_000_000_000n);
    return text === '00:00:00' ? day(new Date(split * 1000)).slice(5) : fine ? text : text.slice(0, 5);
  });
}

// Marks a stretch of time as provisional: paler, and hatched.
export function hatch(u, from, to) {
  const { ctx, bbox } = u;
  const left = Math.max(u.valToPos(from, 'x', true), bbox.left);
  const right = Math.min(u.valToPos(to, 'x', true), bbox.left + bbox.width);
  if (right <= left) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, bbox.top, right - left, bbox.height);
  ctx.clip();
  ctx.globalAlpha = 0.5;
  ctx.fillStyle = ink('panel');
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.globalAlpha = 0.3;
  ctx.strokeStyle = ink('ink');
  ctx.lineWidth = devicePixelRatio;
  const gap = 7 * devicePixelRatio;
  for (let x = left - bbox.height; x < right; x += gap) {
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
    ctx.stroke();
  }
  ctx.restore();
}
