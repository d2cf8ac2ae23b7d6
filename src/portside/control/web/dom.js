/**
 * Elements made without markup: text from the network becomes a text node and nothing else.
 */

/** @typedef {Record<string, string | number | boolean | null | undefined>} Attributes */

/**
 * An element with attributes and children; null, undefined and false leave an attribute out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

/**
 * An element of SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

/**
 * @param {Element} target
 * @param {Attributes} attributes
 */
function setAttributes(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    target.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * A button that does something.
 * @param {string} text
 * @param {(event: MouseEvent) => void} act
 * @param {Attributes} [attributes]
 */
export function button(text, act, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

/**
 * The element of the document with this id, of the class that is expected.
 * @template {Element} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/**
 * Set a text only where it differs, so that the browser has nothing to do for what has not changed.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Show terms and what each is, in the elements that are there; the pairs of the list, for more that is about them.
 * @param {HTMLElement} list
 * @param {(readonly unknown[])[]} pairs  the term, and what it is
 */
export function showPairs(list, pairs) {
  while (list.childElementCount > pairs.length) list.lastElementChild?.remove();
  while (list.childElementCount < pairs.length) list.append(element("div", {}, element("dt"), element("dd")));
  const shown = [...list.children];
  for (const [at, { children }] of shown.entries()) {
    for (const place of [0, 1]) if (children[place]) setText(children[place], String(pairs[at]?.[place]));
  }
  return shown;
}

/**
 * A row of buttons of which one is chosen.
 * @param {string} label
 * @param {[value: string, text: string][]} choices
 * @param {string} chosen
 * @param {(value: string) => void} choose
 */
export function choice(label, choices, chosen, choose) {
  const group = element("div", { class: "choice", role: "group", "aria-label": label });
  for (const [value, text] of choices) {
    group.append(
      button(text, () => mark(value, true), { "data-value": value, "aria-pressed": String(value === chosen) }),
    );
  }
  /**
   * @param {string} value
   * @param {boolean} tell
   */
  function mark(value, tell) {
    for (const child of group.querySelectorAll("button")) {
      child.setAttribute("aria-pressed", String(child.dataset.value === value));
    }
    if (tell) choose(value);
  }
  return { group, mark: (/** @type {string} */ value) => mark(value, false) };
}
