// Keys of all pages: ? shows the list of keys, and g followed by the key of a link in the header opens its page. The
// functions are global, as indentJSON is.
(() => {
  const bindings = {};
  let goPressed = false;

  // bindKeys binds keys by name. They have no effect in text fields.
  globalThis.bindKeys = (more) => Object.assign(bindings, more);

  // moveFocus moves the focus by n elements, by default from the focused one, and returns the newly focused element.
  globalThis.moveFocus = (elements, n, from = document.activeElement) => {
    const at = elements.indexOf(from);
    const next = elements[at < 0 ? 0 : Math.min(Math.max(at + n, 0), elements.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
    return next;
  };

  const showHelp = () => document.getElementById("help").showModal();
  globalThis.bindKeys({ "?": showHelp });
  document.getElementById("keys").addEventListener("click", showHelp);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (typing) {
      if (event.key === "Escape") {
        event.preventDefault(); // Escape would clear the field
        typing.blur();
      }
      return;
    }
    const links = [...document.querySelectorAll("header [data-key]")];
    const page = goPressed && links.find((it) => it.dataset.key === event.key);
    goPressed = event.key === "g";
    if (page) {
      location.assign(page.href);
      return;
    }
    const action = bindings[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
})();
