// A trace in a list of traces.
import { h, reconcile } from "./dom.js";
import { clock, duration, full, kind, route, statusKind } from "./format.js";

// badges returns labels for unusual properties of a trace.
export function badges(summary) {
  const labels = [];
  if (summary.errorCode) labels.push([kind(summary) === "ok" ? "error" : kind(summary), summary.errorCode]);
  else if (kind(summary) !== "ok") labels.push([kind(summary), kind(summary)]);
  if (summary.throttle && !labels.some(([, text]) => text === "throttle")) labels.push(["throttle", "throttle"]);
  if (summary.coldStart) labels.push(["cold", "cold start"]);
  if (!summary.complete) labels.push(["none", "in progress"]);
  return labels.map(([name, text]) => h("span", { class: `badge ${name}` }, text));
}

// status returns a trace's status code, colored by outcome.
export const status = (summary) =>
  h("span", { class: `status ${summary.status ? statusKind(summary.status) : kind(summary)}` }, summary.status ? String(summary.status) : "–");

// showTraces shows traces in list as links. A plain click calls open. With pick, each trace has a checkbox, which is checked
// if picked contains its id, and calls pick.
export function showTraces(list, traces, { query = "", current, open, picked, pick } = {}) {
  // A logarithmic scale from 1 ms keeps short traces distinguishable next to a timeout.
  const longest = Math.log10(Math.max(10, ...traces.map((it) => it.durationMs)));
  const length = (ms) => Math.round(Math.max(2, (100 * Math.log10(Math.max(1, ms))) / longest));
  reconcile(list, traces, (it) => it.id,
    (it) => JSON.stringify([it, it.id === current, query, length(it.durationMs), picked?.includes(it.id)]),
    (it) => h("li", { class: `trace ${kind(it)}${pick ? " pickable" : ""}` },
      pick && h("input", {
        type: "checkbox", class: "pick", "aria-label": `Compare ${it.method} ${route(it.route)}, ${clock(it.start, true)}`, title: "Compare (x)",
        checked: picked.includes(it.id), onchange: () => pick(it.id),
      }),
      h("a", {
        href: `/_local/traces/${encodeURIComponent(it.id)}${query}`,
        "aria-current": it.id === current ? "true" : undefined,
        onclick: (event) => {
          if (!open || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          open(it.id, event.detail === 0); // 0: with the keyboard
        },
      },
      status(it),
      h("span", { class: "what" }, h("b", {}, it.method || "–"), " ", h("span", { class: "route" }, route(it.route) || it.operation || it.id)),
      h("span", { class: "operation" }, it.operation),
      h("span", { class: "badges" }, badges(it)),
      h("span", { class: "extent", "aria-hidden": "true" },
        h("span", { style: { width: `${length(it.durationMs)}%` } })),
      h("span", { class: "time" }, duration(it.durationMs)),
      h("time", { datetime: it.start, title: full(it.start) }, clock(it.start)))));
}
