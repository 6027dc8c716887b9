// The traces: their list, and one of them.
import { clear, get } from "./api.js";
import { $, h } from "./dom.js";
import { plural, route } from "./format.js";
import { filters, keys, live, step } from "./page.js";
import { showTraces } from "./row.js";
import { showTrace } from "./trace.js";

const capacity = 1000; // traces that are kept, and shown
const title = document.title;
const main = $("main"), list = $("traces"), detail = $("detail");

let traces = [];
let current = idOf(location); // id of the trace that is open
let span = location.hash.slice(1); // id of the span that is selected
let shown = { id: undefined, text: "", spans: [], focus() {} };

function idOf({ pathname }) {
  return decodeURIComponent(pathname.slice("/_local/traces".length).replace(/^\//, ""));
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
  if (id !== current || (shown.id === id && shown.text === text)) return;
  const held = detail.contains(document.activeElement);
  shown = { id, text, spans: [], focus() {} };
  if (answer) {
    Object.assign(shown, showTrace(detail, answer, {
      id: span,
      back,
      chosen: (it) => {
        span = it;
        history.replaceState(null, "", `${location.pathname}${location.search}#${it}`);
      },
    }));
    document.title = `${answer.summary.method ?? ""} ${route(answer.summary.route) ?? ""} · ${title}`;
  } else {
    detail.replaceChildren(h("div", { class: "empty" },
      h("h2", { id: "trace-title" }, "This trace is not here"),
      h("p", { class: "muted" }, text),
      h("p", {}, h("a", { href: "/_local/traces", onclick: (event) => { event.preventDefault(); back(); } }, "All traces"))));
  }
  if (focus || (held && !detail.contains(document.activeElement))) shown.focus();
}

function open(id, keyboard) {
  current = id;
  span = "";
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
  document.title = title;
  history.pushState(null, "", `/_local/traces${filter.query()}`);
  render();
  const link = links().find((it) => it.closest("li").dataset.key === last);
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
}

window.addEventListener("popstate", () => {
  current = idOf(location);
  span = location.hash.slice(1);
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


keys({ j: () => move(1), k: () => move(-1), Escape: back });
detail.addEventListener("keydown", (event) => {
  if (event.target.getAttribute("role") !== "treeitem") return;
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter") detail.querySelector(".of-span button")?.focus();
  else if (steps[event.key]) step(shown.spans, steps[event.key]);
  else return;
  event.preventDefault();
});

const updates = live(refresh);
render();
