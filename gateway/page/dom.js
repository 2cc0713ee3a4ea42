// Small helpers to build the document. Texts only ever become text nodes, so that nothing a user writes can
// turn into markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element on the page with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. `properties` are set as properties, `data` and `aria` as `data-…` and `aria-…` attributes;
 * children are nodes or texts, and those that are null, undefined or false are left out.
 */
export function element(tag, { data = {}, aria = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(data)) made.setAttribute(`data-${name}`, value);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** One of the icons drawn in the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A user's picture, or initials on a colour that is always the same for the same `id`. */
export function avatar({ id, name, picture = null, group = false }) {
  const circle = element("span", { className: group ? "avatar avatar-group" : "avatar", aria: { hidden: true } });
  const hue = [...id].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 360, 7);
  circle.style.setProperty("--hue", hue);
  if (picture?.startsWith("https://")) {
    circle.append(element("img", { src: picture, alt: "", loading: "lazy", referrerPolicy: "no-referrer" }));
  } else if (group) {
    circle.append(icon("group"));
  } else {
    const words = name.trim().split(/\s+/);
    const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
    circle.append(letters.map((word) => [...word][0] ?? "").join("").toUpperCase());
  }
  return circle;
}

/** A dot that tells what somebody is now: `online`, `away` or `offline`. */
export function presenceDot(status, words) {
  const data = { testid: "presence", status };
  return element("span", { className: "presence", title: words, data }, element("span", { className: "visually-hidden" }, words));
}

/**
 * Keeps the children of `parent` equal to a list of items, each `{key, signature, …}`. An element is made anew only
 * when its item's signature changes, so that focus, selection and scroll position survive.
 */
export class KeyedList {
  #parent;
  #make;
  #entries = new Map();

  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
    this.clear();
  }

  update(items) {
    const focused = this.#focusedPlace();
    const keys = new Set(items.map((item) => item.key));
    for (const [key, entry] of this.#entries) {
      if (keys.has(key)) continue;
      entry.element.remove();
      this.#entries.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const item of items) {
      const known = this.#entries.get(item.key);
      let entry = known;
      if (known?.signature !== item.signature) {
        entry = { signature: item.signature, element: this.#make(item) };
        this.#entries.set(item.key, entry);
        if (known?.element === next) next = entry.element;
        known?.element.replaceWith(entry.element);
      }
      if (entry.element === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(entry.element, next);
    }
    this.#restoreFocus(focused);
  }

  clear() {
    this.#entries.clear();
    this.#parent.replaceChildren();
  }

  /** Moving or replacing an element takes the focus from it, which would throw a keyboard user out of the list. */
  #focusedPlace() {
    const focused = document.activeElement;
    if (!this.#parent.contains(focused)) return undefined;
    for (const [key, entry] of this.#entries) {
      if (entry.element.contains(focused)) return { key, name: focused.dataset.testid };
    }
    return undefined;
  }

  /** To what had it in the element before, or else to the first that can have it. */
  #restoreFocus(place) {
    if (place === undefined || this.#parent.contains(document.activeElement)) return;
    const found = this.#entries.get(place.key)?.element;
    const same = place.name && found?.querySelector(`[data-testid="${place.name}"]`);
    (same || found?.querySelector("button") || found)?.focus({ preventScroll: true });
  }
}
