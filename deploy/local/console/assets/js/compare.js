// Two traces side by side.
import { get } from "./api.js";
import { $, h } from "./dom.js";
import { duration, full, plural, route } from "./format.js";
import { keys, live, moveFocus } from "./page.js";
import { badges, status } from "./row.js";
import { about, colorClass, extent, flatten, times } from "./span.js";

const ids = ["a", "b"].map((name) => new URLSearchParams(location.search).get(name) ?? "");
const names = ["A", "B"];
let drawn = "";

live(async () => {
  if (ids.includes("")) {
    return showMissing("Choose two traces", "Tick two traces in the list of traces, and then Compare.");
  }
  let traces;
  try {
    traces = await Promise.all(ids.map((id) => get(`traces/${encodeURIComponent(id)}`)));
  } catch (err) {
    if (err.status !== 404 || drawn) throw err;
    return showMissing("Trace not found", err.message);
  }
  const text = JSON.stringify(traces);
  if (text === drawn) return;
  drawn = text;
  $("empty").hidden = true;
  document.querySelectorAll("main .scroll").forEach((it) => { it.hidden = false; });
  draw(traces);
});

// showMissing says why there is nothing to compare.
function showMissing(reason, advice) {
  $("empty").replaceChildren(
    h("h2", {}, reason), h("p", { class: "muted" }, advice),
    h("p", {}, h("a", { href: "/_local/traces" }, "All traces")));
  $("empty").hidden = false;
}

function draw(traces) {
  const sides = traces.map(({ trace }) => {
    const rows = flatten(trace.roots ?? []);
    return { rows, ...extent(rows) };
  });
  const rows = align(...sides.map(({ rows }) => rows));
  const longest = Math.max(0.001, ...sides.map(({ start, end }) => end - start));
  const fact = (name, value) => h("tr", {}, h("th", { scope: "row" }, name), traces.map((it) => h("td", {}, value(it))));
  const [one, other] = traces.map(({ summary }) => summary.durationMs);
  $("count").textContent = plural(rows.length, "span");
  $("facts").replaceChildren(
    h("thead", {}, h("tr", {}, h("td", {}), names.map((name) => h("th", { scope: "col" }, `Trace ${name}`)))),
    h("tbody", {},
      fact("Request", ({ summary }) => [status(summary), " ", h("b", {}, summary.method), " ", h("span", { class: "route" }, route(summary.route) || summary.operation), " ", badges(summary)]),
      fact("Duration", ({ summary }) => [duration(summary.durationMs), summary.durationMs === Math.max(one, other) && one !== other
        ? h("span", { class: "muted" }, ` (${difference(Math.min(one, other), Math.max(one, other))})`) : ""]),
      fact("At", ({ summary }) => full(summary.start)),
      fact("Operation", ({ summary }) => summary.operation || "–"),
      fact("Version", ({ summary }) => summary.version || "–"),
      fact("Trace", ({ summary }) => h("a", { href: `/_local/traces/${encodeURIComponent(summary.id)}` }, h("code", {}, summary.id)))));

  $("spans").replaceChildren(
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Span"), h("th", { scope: "col" }, "A above, B below"),
      [...names, "Difference"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", {}, rows.map(({ depth, pair }) => {
      const { span } = pair.find(Boolean);
      const lengths = pair.map((row, n) => row && times(row.span, sides[n].end)).map((it) => it && it.end - it.start);
      return h("tr", { tabindex: 0, class: "pair", style: { "--depth": depth } },
        h("th", { scope: "row" }, span.name, " ", h("span", { class: "muted" }, about(span))),
        h("td", { class: "tracks", "aria-hidden": "true" }, pair.map((row, n) => h("span", { class: "track" }, row && bar(row.span, sides[n], longest)))),
        lengths.map((it, n) => h("td", { class: "number" }, it === undefined ? h("span", { class: "muted", title: `Not in trace ${names[n]}` }, "–") : duration(it))),
        h("td", { class: "number" }, lengths.includes(undefined) ? h("span", { class: "badge none" }, `only ${names[lengths.findIndex((it) => it !== undefined)]}`) : difference(...lengths)));
    })));
}

function bar(span, { start, end }, longest) {
  const t = times(span, end);
  return h("span", { class: `extent ${colorClass(span)}`, style: { left: `${(100 * (t.start - start)) / longest}%`, width: `${(100 * (t.end - t.start)) / longest}%` } });
}

// difference formats the difference of two durations, with its sign.
function difference(a, b) {
  if (Math.abs(b - a) < 0.005) return "±0";
  return `${b > a ? "+" : "−"}${duration(Math.abs(b - a))}`;
}

// align pairs the spans of two traces: children of a pair with the same name, in their order. A span without a partner is
// alone.
function align(a, b) {
  const rows = [];
  const walk = (parents, depth) => {
    const [left, right] = parents.map((parent, n) => (parent === null ? [] : [a, b][n].filter((row) => row.parent === parent)));
    const used = new Set();
    const add = (pair) => {
      rows.push({ depth, pair });
      walk(pair.map((row) => row ?? null), depth + 1);
    };
    for (const row of left) {
      const partner = right.find((it) => !used.has(it) && kindOf(it) === kindOf(row) && (depth === 0 || it.span.name === row.span.name));
      // Spans that only B has keep their place before the next common one.
      for (const it of partner ? right.slice(0, right.indexOf(partner)).filter((it) => !used.has(it) && !hasPartner(it, left)) : []) {
        used.add(it);
        add([undefined, it]);
      }
      used.add(partner);
      add([row, partner]);
    }
    right.filter((it) => !used.has(it)).forEach((it) => add([undefined, it]));
  };
  const hasPartner = (it, others) => others.some((row) => row.span.name === it.span.name && kindOf(row) === kindOf(it));
  const kindOf = ({ span }) => span.origin ?? span.type ?? "";
  walk([undefined, undefined], 0);
  return rows;
}

const focusable = () => [...$("spans").querySelectorAll("tr.pair")];
keys({ j: () => moveFocus(focusable(), 1), k: () => moveFocus(focusable(), -1), Escape: () => $("back").click() });

// The list is the page before this one, with its filter and place, unless this page was opened from elsewhere.
$("back").addEventListener("click", (event) => {
  if (!document.referrer.startsWith(`${location.origin}/_local/traces`)) return;
  event.preventDefault();
  history.back();
});
