// Shared by all pages: live updates and keys.
import { criteria } from "./criteria.js";
import { $, h } from "./dom.js";
import "./keys.js";

const pause = 500; // milliseconds between updates

// live calls refresh now and after each change, but not concurrently, and not while the page is paused or hidden.
export function live(refresh) {
  let source, running = false, dirty = true, paused = false;

  const state = (name, text) => {
    $("live").dataset.state = name;
    $("live-state").textContent = text;
  };
  const run = async () => {
    if (running || !dirty) return;
    running = true;
    dirty = false;
    try {
      await refresh();
    } catch (err) {
      // A TypeError means that the stack is stopped: the event stream reports that, and reconnects.
      if (err.status) showError(err.message);
      else if (!(err instanceof TypeError)) console.error(err);
    }
    setTimeout(() => { running = false; run(); }, pause);
  };
  const change = () => { dirty = true; run(); };
  const connect = () => {
    source?.close();
    source = undefined;
    if (paused) return state("paused", "Paused");
    // A browser has six connections per server: hidden tabs release theirs.
    if (document.hidden) return;
    source = new EventSource("/_local/api/events");
    source.onopen = () => state("live", "Live");
    source.onmessage = () => { $("count")?.removeAttribute("role"); change(); };
    source.onerror = () => state("lost", "Reconnecting");
  };
  const toggle = () => { paused = !paused; connect(); };

  document.addEventListener("visibilitychange", connect);
  $("live").addEventListener("click", toggle);
  keys({ p: toggle });
  connect();
  run();
  return { change };
}

// showError displays an error, usually of an invalid filter in the URL.
function showError(reason) {
  $("empty")?.replaceChildren(h("p", {}, h("strong", {}, "Invalid request")), h("p", { class: "muted" }, reason));
  $("empty")?.removeAttribute("hidden");
}

export const { bindKeys: keys, moveFocus } = globalThis; // of keys.js

keys({ "/": () => $("search")?.select() });

// The link to #main would replace the fragment of the URL, which names a span or an item.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});

// ask asks a question in a dialog, and reports whether the user chose the action.
export function ask(question, action) {
  const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title" },
    h("form", { method: "dialog" },
      h("h2", { id: "ask-title" }, question),
      h("div", { class: "actions" },
        h("button", { class: "button", value: "" }, "Cancel"),
        h("button", { class: "button danger", value: "yes" }, action))));
  document.body.append(dialog);
  dialog.showModal(); // focuses the first button, Cancel
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

// closeDetails closes the open element that contains the focus, and reports whether there was one.
export function closeDetails() {
  const details = document.activeElement.closest("details[open]");
  details?.removeAttribute("open");
  details?.querySelector("summary").focus();
  return Boolean(details);
}

// filters synchronizes the form #filters with the URL, and calls changed after each change.
export function filters(changed) {
  const form = $("filters"), reset = form.querySelector("[type=reset]");
  const read = () => new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim() !== ""));
  const showCriteria = criteria(form, () => enter());
  const show = (parameters) => {
    for (const input of form.elements) {
      if (!input.name) continue;
      const value = parameters.get(input.name) ?? "";
      if (input.type === "checkbox") {
        input.checked = value !== "";
        continue;
      }
      if (input instanceof HTMLSelectElement && ![...input.options].some((option) => option.value === value)) offer(input, [value]);
      input.value = value;
    }
    reset.hidden = read().size === 0;
    showCriteria();
  };
  const query = () => { const q = read(); return q.size ? `?${q}` : ""; };
  const updateURL = () => history.replaceState(history.state, "", location.pathname + query() + location.hash);
  const enter = () => {
    reset.hidden = read().size === 0;
    showCriteria();
    updateURL();
    $("count").setAttribute("role", "status"); // announce results of a filter, but not each new request
    changed();
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", enter);
  form.addEventListener("reset", () => setTimeout(enter)); // the form is reset after the event
  window.addEventListener("popstate", () => show(new URLSearchParams(location.search)));
  show(new URLSearchParams(location.search));
  updateURL(); // removes unknown filters from the URL
  return {
    read,
    set: (name, value) => { form.elements[name].value = value; enter(); },
    update: (values) => {
      for (const [name, value] of Object.entries(values)) {
        if (form.elements[name] instanceof HTMLSelectElement) offer(form.elements[name], [value]);
        form.elements[name].value = value;
      }
      enter();
    },
    offer: (name, values) => offer(form.elements[name], values),
    query,
  };
}

// offer adds options to a select.
function offer(select, values) {
  for (const value of values) {
    if (value && ![...select.options].some((option) => option.value === value)) select.add(new Option(value));
  }
}
