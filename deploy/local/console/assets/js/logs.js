// The log lines of all functions and of the gateway.
import { get } from "./api.js";
import { $, h, reconcile } from "./dom.js";
import { plural } from "./format.js";
import { lineElement } from "./lines.js";
import { closeDetails, filters, keys, live, moveFocus } from "./page.js";
import { lineIDs } from "./span.js";

const shown = 500;
const filter = filters(() => updates.change());
const list = $("lines");
let items = [], lastQuery;

const key = (line) => `${line.sequence} ${line.time}`; // a restarted stack counts from 1 again
const elementOf = (line) => [...list.children].find((it) => it.dataset.key === key(line));
const inUse = (it) => it.contains(document.activeElement) || it.querySelector("details[open]");

const updates = live(async () => {
  const parameters = filter.read();
  parameters.set("limit", shown);
  const { lines } = await get("logs", parameters);
  const some = parameters.has("source") ? (await get("logs", new URLSearchParams({ limit: shown }))).lines : lines;
  filter.offer("source", [...new Set(some.map((it) => it.source))].sort());
  $("count").textContent = lines.length < shown ? plural(lines.length, "line") : `the last ${shown} lines`;
  // Open and focused lines stay in place, even if they are no longer among the newest.
  const older = lines.length < shown || lastQuery !== filter.query() ? [] : without(items, lines).filter((it) => inUse(elementOf(it)));
  items = [...lines.toReversed(), ...older];
  lastQuery = filter.query();
  keepPosition([...list.children].find((it) => inUse(it) && isVisible(it)), () => reconcile(list, items, key, () => "", element));
  const filtered = filter.read().size > 0;
  list.hidden = lines.length === 0;
  $("empty").hidden = lines.length > 0;
  $("empty").replaceChildren(
    h("p", {}, h("strong", {}, filtered ? "No log lines match the filter" : "No log lines yet")),
    h("p", { class: "muted" }, filtered ? "Change or clear the filter." : "Send a request to see its log lines here."));
});

// without returns the lines that are not among others.
function without(lines, others) {
  const keys = new Set(others.map(key));
  return lines.filter((it) => !keys.has(key(it)));
}

function isVisible(it) {
  const { top, bottom } = it.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

// keepPosition keeps the position of an element on the screen while change moves the elements around it. Browsers do this
// only if the page is scrolled.
function keepPosition(it, change) {
  list.style.overflowAnchor = it ? "none" : "auto";
  const before = it?.getBoundingClientRect().top;
  change();
  if (it?.isConnected) scrollBy(0, it.getBoundingClientRect().top - before);
}

function element(line) {
  const [request] = lineIDs(line);
  return h("li", {}, lineElement(line, {
    extra: [
      line.traceId && h("a", { class: "button", href: `/_local/traces/${encodeURIComponent(line.traceId)}` }, "Trace"),
      line.traceId && h("button", { type: "button", class: "button", onclick: () => filter.set("trace", line.traceId) }, "Lines of the trace"),
      request && h("button", { type: "button", class: "button", onclick: () => filter.set("request", request) }, "Lines of the request"),
    ],
  }));
}

const move = (n) => () => moveFocus([...list.querySelectorAll("summary")], n);
keys({ j: move(1), k: move(-1), Escape: closeDetails });
