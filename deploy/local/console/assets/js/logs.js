// The log lines of all functions and of the gateway.
import { get } from "./api.js";
import { $, h, reconcile } from "./dom.js";
import { plural } from "./format.js";
import { lineElement } from "./lines.js";
import { filters, keys, live, shut, step } from "./page.js";
import { lineIDs } from "./span.js";

const shown = 500;
const filter = filters(() => updates.change());
const list = $("lines");
let items = [], asked;

const key = (line) => `${line.sequence} ${line.time}`; // a stack that was started anew counts from 1 again
const elementOf = (line) => [...list.children].find((it) => it.dataset.key === key(line));
const isRead = (it) => it.contains(document.activeElement) || it.querySelector("details[open]");

const updates = live(async () => {
  const parameters = filter.read();
  parameters.set("limit", shown);
  const { lines } = await get("logs", parameters);
  const some = parameters.has("source") ? (await get("logs", new URLSearchParams({ limit: shown }))).lines : lines;
  filter.offer("source", [...new Set(some.map((it) => it.source))].sort());
  $("count").textContent = lines.length < shown ? plural(lines.length, "line") : `the last ${shown} lines`;
  // What is read stays, also when it is not of the newest any more, and stays where it is.
  const older = lines.length < shown || asked !== filter.query() ? [] : without(items, lines).filter((it) => isRead(elementOf(it)));
  items = [...lines.toReversed(), ...older];
  asked = filter.query();
  hold([...list.children].find((it) => isRead(it) && inSight(it)), () => reconcile(list, items, key, () => "", element));
  const filtered = filter.read().size > 0;
  list.hidden = lines.length === 0;
  $("empty").hidden = lines.length > 0;
  $("empty").replaceChildren(
    h("p", {}, h("strong", {}, filtered ? "No line is like that" : "Nothing was logged yet")),
    h("p", { class: "muted" }, filtered ? "Loosen the filter, or clear it." : "Send a request, and its lines appear here."));
});

// without is what others are not among.
function without(lines, others) {
  const keys = new Set(others.map(key));
  return lines.filter((it) => !keys.has(key(it)));
}

function inSight(it) {
  const { top, bottom } = it.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

// hold has an element stay where it is on the screen while change moves what is around it. Browsers do that by themselves where
// a page is scrolled, but not at its top.
function hold(it, change) {
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

const move = (n) => () => step([...list.querySelectorAll("summary")], n);
keys({ j: move(1), k: move(-1), Escape: shut });
