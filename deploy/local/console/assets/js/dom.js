// Elements are created with text nodes only: received data is never parsed as markup.

// h creates an HTML element. Attributes that are undefined, null or false are omitted. on… are event listeners, and style is
// an object.
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// svg creates an SVG element, like h.
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.entries(value).forEach(([name, v]) => element.style.setProperty(name, v));
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

// $ returns the element with an id.
export const $ = (id) => document.getElementById(id);

// reconcile makes the children of parent match items: make returns the element of an item. An element whose key and signature
// are unchanged is kept, with its focus and scroll position.
export function reconcile(parent, items, key, signature, make) {
  const before = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  let next = parent.firstElementChild;
  for (const item of items) {
    const k = key(item), s = signature(item);
    let element = before.get(k);
    before.delete(k);
    if (element && element.dataset.signature !== s) {
      const fresh = make(item);
      const focus = element.contains(document.activeElement);
      if (element === next) next = fresh;
      element.replaceWith(fresh);
      if (focus) fresh.querySelector("a, button, summary")?.focus({ preventScroll: true });
      element = fresh;
    }
    element ??= make(item);
    element.dataset.key = k;
    element.dataset.signature = s;
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  before.forEach((element) => element.remove());
}

// copyButton returns a button that copies text. label describes it to screen readers, and visible is its text.
export function copyButton(text, label = "Copy", visible = "Copy") {
  const name = `${label}: ${text.slice(0, 120)}`;
  const button = h("button", { type: "button", class: visible === "Copy" ? "copy" : "button", "aria-label": name }, visible);
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    await navigator.clipboard.writeText(text).then(() => say("Copied"), () => say("Copying was denied"));
  });
  const say = (word) => {
    button.textContent = word;
    button.setAttribute("aria-label", word);
    setTimeout(() => {
      button.textContent = visible;
      button.setAttribute("aria-label", name);
    }, 1500);
  };
  return button;
}
