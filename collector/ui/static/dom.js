// Elements out of data. Text only ever goes through textContent: a probe's name is whatever its host says it is.

export const byId = (id) => document.getElementById(id);

// el('td', { class: 'number', title: '1' }, 'text', child): properties are attributes, functions are listeners.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Writes only what changed, so that a refresh disturbs neither the selection nor a screen reader.
export function write(node, text, title) {
  if (node.textContent !== text) node.textContent = text;
  if (title !== undefined && node.title !== title) node.title = title;
  return node;
}

export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Makes the children of `parent` those of `items`, by key: a row that stays keeps its element, and with it the focus.
export function keyed(parent, items, key, create, update) {
  const known = parent.keyedRows ??= new Map();
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    seen.add(name);
    let node = known.get(name);
    if (!node) {
      node = create(item);
      known.set(name, node);
      parent.insertBefore(node, place);
    } else if (node === place) {
      place = place.nextElementSibling;
    } else {
      move(parent, node, place);
    }
    update(node, item);
  }
  for (const [name, node] of known) {
    if (seen.has(name)) continue;
    node.remove();
    known.delete(name);
  }
}

// moveBefore keeps the focus of what it moves; insertBefore, in older browsers, does not.
function move(parent, node, place) {
  if (parent.moveBefore) parent.moveBefore(node, place);
  else parent.insertBefore(node, place);
}
