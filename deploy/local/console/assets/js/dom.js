// Elements are made with text nodes only: nothing that was received is ever read as markup.

// h makes an HTML element. Attributes that are undefined, null or false are left out; on… are listeners, style an object.
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// svg makes an SVG element, as h does.
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

// $ is the element that has an id.
export const $ = (id) => document.getElementById(id);

// reconcile makes parent's children those that make returns for items, keeping the elements, and with them focus and scroll
// position, of items whose key was there before. signature says when an element must be made anew.
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

// copyButton copies text, and says so.
export function copyButton(text, label = "Copy") {
  const name = `${label}: ${text.slice(0, 120)}`;
  const button = h("button", { type: "button", class: "copy", "aria-label": name }, "Copy");
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    await navigator.clipboard.writeText(text).then(() => say("Copied"), () => say("Not allowed"));
  });
  const say = (word) => {
    button.textContent = word;
    button.setAttribute("aria-label", word);
    setTimeout(() => {
      button.textContent = "Copy";
      button.setAttribute("aria-label", name);
    }, 1500);
  };
  return button;
}
