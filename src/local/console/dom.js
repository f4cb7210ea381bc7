// Elements from data.

/** An element with properties and children. `data` and `aria` are objects of attributes; `null` children are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === 'data') Object.assign(element.dataset, value);
    else if (name === 'aria') for (const [key, is] of Object.entries(value)) element.setAttribute(`aria-${key}`, is);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const rendered = new WeakMap();

/** Replaces the children of an element, unless `of` is what they show already. The focus stays on the same `data-key`. */
export function render(target, of, children) {
  const shown = JSON.stringify(of);
  if (rendered.get(target) === shown) return;
  rendered.set(target, shown);
  const key = target.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  target.replaceChildren(...children().flat().filter(Boolean));
  if (key) target.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

export const $ = (id) => document.getElementById(id);

/** The time of day, as the reader's clock has it. */
export const time = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
