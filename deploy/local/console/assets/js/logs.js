// The log lines of all functions and of the gateway.
import { get } from "./api.js";
import { $, h, reconcile } from "./dom.js";
import { plural } from "./format.js";
import { lineElement } from "./lines.js";
import { filters, keys, live, step } from "./page.js";
import { lineIDs } from "./span.js";

const shown = 500;
const filter = filters(() => updates.change());
const list = $("lines");

const updates = live(async () => {
  const parameters = filter.read();
  parameters.set("limit", shown);
  const { lines } = await get("logs", parameters);
  filter.offer("source", [...new Set(lines.map((it) => it.source))].sort());
  $("count").textContent = lines.length < shown ? plural(lines.length, "line") : `the last ${shown} lines`;
  reconcile(list, lines.toReversed(), (it) => String(it.sequence), () => "", element);
  const filtered = filter.read().size > 0;
  list.hidden = lines.length === 0;
  $("empty").hidden = lines.length > 0;
  $("empty").replaceChildren(
    h("p", {}, h("strong", {}, filtered ? "No line is like that" : "Nothing was logged yet")),
    h("p", { class: "muted" }, filtered ? "Loosen the filter, or clear it." : "Send a request, and its lines appear here."));
});

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
keys({ j: move(1), k: move(-1), Escape: () => document.activeElement.closest("details")?.removeAttribute("open") });
