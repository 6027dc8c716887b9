// The traces: their list, and one of them.
import { clear, get } from "./api.js";
import { $, h } from "./dom.js";
import { plural, route } from "./format.js";
import { filters, keys, live, shut, step } from "./page.js";
import { showTraces } from "./row.js";
import { showTrace } from "./trace.js";

const capacity = 1000; // traces that are kept, and shown
const title = document.title;
const main = $("main"), list = $("traces"), detail = $("detail");

let traces = [];
let current = idOf(location); // id of the trace that is open
let span = location.hash.slice(1); // id of the span that is selected
let shown; // what detail shows: nothing, until note says so
note({});

function idOf({ pathname }) {
  const id = pathname.slice("/_local/traces".length).replace(/^\//, "");
  try {
    return decodeURIComponent(id);
  } catch {
    return id; // not of UTF-8: no trace is called so
  }
}

// note keeps what detail shows, and names the page after it.
function note(it) {
  shown = { id: undefined, text: "", spans: [], focus() {}, ...it };
  document.title = it.summary ? `${it.summary.method ?? ""} ${route(it.summary.route) ?? ""} · ${title}` : title;
}

const filter = filters(() => updates.change());

async function refresh() {
  const parameters = filter.read();
  parameters.set("limit", capacity);
  const [answer] = await Promise.all([get("traces", parameters), refreshTrace()]);
  traces = answer.traces;
  filter.offer("operation", [...new Set(traces.map((it) => it.operation))].sort());
  render();
}

function render() {
  showTraces(list, traces, { query: filter.query(), current, open });
  $("count").textContent = plural(traces.length, "trace");
  const filtered = filter.read().size > 0;
  $("empty").hidden = traces.length > 0;
  $("empty").replaceChildren(
    h("p", {}, h("strong", {}, filtered ? "No trace is like that" : "No trace yet")),
    h("p", { class: "muted" }, filtered ? "Loosen the filter, or clear it." : "Send a request: there are lines to paste on the ", filtered ? "" : h("a", { href: "/" }, "first page"), filtered ? "" : "."));
  main.classList.toggle("opened", current !== "");
  detail.hidden = current === "";
}

// refreshTrace shows the open trace as it is now.
async function refreshTrace(focus = false) {
  const id = current;
  if (!id) return;
  let answer, text;
  try {
    answer = await get(`traces/${encodeURIComponent(id)}`);
    text = JSON.stringify(answer);
  } catch (err) {
    if (!err.status) throw err;
    text = err.message;
  }
  if (id !== current) return;
  if (answer === undefined && shown.id === id && shown.summary) { // it is read still
    if (shown.text) detail.querySelector(".trace-head").append(h("p", { class: "muted", role: "status" }, "This trace is no longer kept."));
    shown.text = "";
    return;
  }
  const same = shown.id === id && shown.text === text;
  const lost = !same && detail.contains(document.activeElement);
  if (!same && answer) {
    const { summary } = answer;
    const view = showTrace(detail, answer, {
      id: span,
      again: shown.id === id,
      back,
      chosen: (it) => {
        span = it;
        history.replaceState(null, "", `${location.pathname}${location.search}#${it}`);
      },
    });
    note({ id, text, summary, ...view });
  } else if (!same) {
    detail.replaceChildren(h("div", { class: "empty" },
      h("h2", { id: "trace-title" }, "This trace is not here"),
      h("p", { class: "muted" }, text),
      h("p", {}, h("a", { href: "/_local/traces", onclick: (event) => { event.preventDefault(); back(); } }, "All traces"))));
    note({ id, text });
  }
  if (focus || (lost && !detail.contains(document.activeElement))) shown.focus();
}

function open(id, keyboard) {
  current = id;
  span = "";
  note({});
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
  note({});
  history.pushState(null, "", `/_local/traces${filter.query()}`);
  render();
  const link = links().find((it) => it.closest("li").dataset.key === last);
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
}

window.addEventListener("popstate", () => {
  current = idOf(location);
  span = location.hash.slice(1);
  note({});
  render();
  updates.change();
  refreshTrace().catch(console.error);
});

$("clear").addEventListener("click", async () => {
  await clear();
  if (current) back();
  updates.change();
});

const links = () => [...list.querySelectorAll("a")];

function move(n) {
  if (detail.contains(document.activeElement)) {
    const summaries = document.activeElement.closest(".lines") && [...detail.querySelectorAll(".lines summary")];
    step(summaries || shown.spans, n, summaries ? document.activeElement : shown.spans.find((it) => it.tabIndex === 0));
    return;
  }
  step(links(), n, links().includes(document.activeElement) ? document.activeElement : list.querySelector("[aria-current]"));
}

keys({ j: () => move(1), k: () => move(-1), Escape: () => shut() || back() });
detail.addEventListener("keydown", (event) => {
  if (event.target.getAttribute("role") !== "treeitem") return;
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter") detail.querySelector(".of-span .actions button")?.focus();
  else if (steps[event.key]) step(shown.spans, steps[event.key]);
  else return;
  event.preventDefault();
});

const updates = live(refresh);
render();
