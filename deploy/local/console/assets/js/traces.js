// The overview and the list of traces, and one trace.
import { clear, get } from "./api.js";
import { $, h } from "./dom.js";
import { plural, route } from "./format.js";
import { overview } from "./overview.js";
import { ask, closeDetails, filters, keys, live, moveFocus } from "./page.js";
import { showTraces } from "./row.js";
import { showTrace } from "./trace.js";

let limit = 200; // maximum number of traces in the list
const title = document.title;
const main = $("main"), list = $("traces"), detail = $("detail");

let traces = [];
let current = idOf(location); // id of the open trace
let span = location.hash.slice(1); // id of the selected span
let shown; // content of detail, set by setShown
setShown({});

function idOf({ pathname }) {
  const id = pathname.slice("/_local/traces".length).replace(/^\//, "");
  try {
    return decodeURIComponent(id);
  } catch {
    return id; // invalid UTF-8: no such trace
  }
}

// setShown sets the content of detail and the title of the page.
function setShown(it) {
  shown = { id: undefined, text: "", spans: [], focus() {}, ...it };
  document.title = it.summary ? `${it.summary.method ?? ""} ${route(it.summary.route) ?? ""} · ${title}` : title;
}

const filter = filters(() => updates.change());
const showOverview = overview({ filter, update: filter.update, open });
let total; // number of traces that match, undefined until they are loaded
let picked = []; // ids of the traces to compare, at most two

async function refresh() {
  const parameters = filter.read();
  const [distribution] = await Promise.all([get("overview", parameters), refreshTrace()]);
  total = distribution.traces;
  parameters.delete("by");
  parameters.set("limit", limit);
  traces = (await get("traces", parameters)).traces;
  showOverview(distribution);
  filter.offer("operation", [...new Set(traces.map((it) => it.operation))].sort());
  render();
}

function render() {
  showTraces(list, traces, { query: filter.query(), current, open, picked, pick });
  const loaded = total !== undefined;
  const newest = traces.length < total ? `, the newest ${traces.length.toLocaleString()} below` : "";
  $("count").textContent = loaded ? plural(total, "trace") + newest : "";
  $("more").hidden = !loaded || traces.length >= total;
  $("compare").hidden = picked.length < 2;
  $("compare").setAttribute("href", `/_local/compare?${new URLSearchParams({ a: picked[0] ?? "", b: picked[1] ?? "" })}`);
  const filtered = filter.read().size > 0;
  $("empty").hidden = !loaded || traces.length > 0;
  $("empty").replaceChildren(
    h("p", {}, h("strong", {}, filtered ? "No traces match the filter" : "No traces yet")),
    h("p", { class: "muted" }, filtered ? "Change or clear the filter." : "Send a request, for example with a command on the ", filtered ? "" : h("a", { href: "/" }, "home page"), filtered ? "" : "."));
  main.classList.toggle("opened", current !== "");
  detail.hidden = current === "";
}

// refreshTrace shows the current state of the open trace.
async function refreshTrace(focus = false) {
  const id = current;
  if (!id) return;
  let response, text;
  try {
    response = await get(`traces/${encodeURIComponent(id)}`);
    text = JSON.stringify(response);
  } catch (err) {
    if (!err.status) throw err;
    text = err.message;
  }
  if (id !== current) return;
  if (response === undefined && shown.id === id && shown.summary) { // keep showing it
    if (shown.text) detail.querySelector(".trace-head").append(h("p", { class: "muted", role: "status" }, "This trace is no longer kept."));
    shown.text = "";
    return;
  }
  const same = shown.id === id && shown.text === text;
  const lost = !same && detail.contains(document.activeElement);
  if (!same && response) {
    const { summary } = response;
    const view = showTrace(detail, response, {
      id: span,
      again: shown.id === id,
      back,
      chosen: (it) => {
        span = it;
        history.replaceState(null, "", `${location.pathname}${location.search}#${it}`);
      },
    });
    setShown({ id, text, summary, ...view });
  } else if (!same) {
    detail.replaceChildren(h("div", { class: "empty" },
      h("h2", { id: "trace-title" }, "Trace not found"),
      h("p", { class: "muted" }, text),
      h("p", {}, h("a", { href: "/_local/traces", onclick: (event) => { event.preventDefault(); back(); } }, "All traces"))));
    setShown({ id, text });
  }
  if (focus || (lost && !detail.contains(document.activeElement))) shown.focus();
}

// pick adds a trace to those to compare, or removes it. The last two count.
function pick(id) {
  picked = picked.includes(id) ? picked.filter((it) => it !== id) : [...picked, id].slice(-2);
  render();
}

function open(id, keyboard) {
  current = id;
  span = "";
  setShown({});
  history.pushState(null, "", `/_local/traces/${encodeURIComponent(id)}${filter.query()}`);
  render();
  list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  detail.scrollTop = 0;
  refreshTrace(keyboard).catch(console.error);
}

function back() {
  const last = current;
  if (!last) return;
  current = span = "";
  setShown({});
  history.pushState(null, "", `/_local/traces${filter.query()}`);
  render();
  focusLink(last);
}

// focusLink focuses the link to a trace, if the list has it.
function focusLink(id) {
  const link = links().find((it) => it.closest("li").dataset.key === id);
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
}

window.addEventListener("popstate", () => {
  const last = current;
  current = idOf(location);
  span = location.hash.slice(1);
  setShown({});
  render();
  if (last && !current) focusLink(last);
  updates.change();
  refreshTrace(current !== last).catch(console.error);
});

$("more").addEventListener("click", () => {
  limit *= 5;
  updates.change();
});

$("clear").addEventListener("click", async () => {
  if (!await ask("Delete all traces and log lines?", "Delete")) return;
  await clear();
  if (current) back();
  picked = [];
  updates.change();
  $("clear").focus();
});

document.querySelector(".skip").addEventListener("click", () => { if (current) shown.focus(); });

const links = () => [...list.querySelectorAll("a")];

function move(n) {
  if (detail.contains(document.activeElement)) {
    const summaries = document.activeElement.closest(".lines") && [...detail.querySelectorAll(".lines summary")];
    moveFocus(summaries || shown.spans, n, summaries ? document.activeElement : shown.spans.find((it) => it.tabIndex === 0));
    return;
  }
  moveFocus(links(), n, links().includes(document.activeElement) ? document.activeElement : list.querySelector("[aria-current]"));
}

function pickFocused() {
  const id = document.activeElement.closest("#traces > li")?.dataset.key ?? current;
  if (id) pick(id);
}

keys({ x: pickFocused, c: () => { if (picked.length === 2) $("compare").click(); }, j: () => move(1), k: () => move(-1), Escape: () => closeDetails() || back() });
detail.addEventListener("keydown", (event) => {
  if (event.target.getAttribute("role") !== "treeitem") return;
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter") detail.querySelector(".of-span .actions button")?.focus();
  else if (steps[event.key]) moveFocus(shown.spans, steps[event.key]);
  else return;
  event.preventDefault();
});

const updates = live(refresh);
render();
