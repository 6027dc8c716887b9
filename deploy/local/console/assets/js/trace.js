// A trace: its timeline, the details of a span, the log lines, and the documents as received.
import { copyButton, h } from "./dom.js";
import { problem, refusal, showExchange } from "./exchange.js";
import { clock, duration, full, instant, kind, plural, route, statusKind } from "./format.js";
import { format, isObject } from "./json.js";
import { lineElement } from "./lines.js";
import { badges, status } from "./row.js";
import { about, colorClass, extent, flatten, spanOf, times } from "./span.js";
import { timeline } from "./timeline.js";

// showTrace shows a trace from the API in pane. It selects the span with the id, or else the failed span. again means that
// pane shows an earlier state of the same trace. chosen is called with the id of each selected span. The result contains the
// elements of the spans, and a function that focuses the selected span.
export function showTrace(pane, { summary, trace, documents, lines: logged, truncated, exchanges }, { id, again, chosen, back }) {
  const lines = logged.toSorted((a, b) => instant(a.time) - instant(b.time));
  const rows = flatten(trace.roots ?? []);
  const { start, end } = extent(rows);
  const owners = new Map(lines.map((line) => [line, spanOf(line, rows)]));

  // Open elements stay open when more of the trace arrives.
  const scrolled = again && pane.querySelector(".timeline")?.scrollTop;
  const opened = [...pane.querySelectorAll("details[open]")].map((it) => it.dataset.key);
  const held = pane.contains(document.activeElement) ? document.activeElement.closest("details")?.dataset.key : undefined;

  const facts = h("div", { class: "facts-of-span" });
  const spanTitle = h("h3", { id: "span-title" });
  const raw = h("section", { class: "raw", "aria-labelledby": "raw-title" },
    h("h3", { id: "raw-title" }, "Raw JSON", h("span", { class: "muted count" }, plural(documents.length, "document"))),
    documents.map((document) => {
      const text = JSON.stringify(document, null, 2);
      return h("details", { "data-key": document.id },
        h("summary", {}, h("strong", {}, document.name), h("span", { class: "muted" }, document.origin ?? document.type ?? ""), h("code", {}, document.id)),
        h("div", { class: "whole" }, h("div", { class: "actions" }, copyButton(text, "Copy the document")), h("pre", { tabindex: 0 }, text)));
    }));

  // The lines of a span, or else of the nearest enclosing span with lines.
  const linesOf = (row) => {
    const under = (it) => it !== undefined && (it === row || under(it.parent));
    const found = lineElements.filter(([line]) => under(owners.get(line))).map(([, element]) => element);
    return found.length > 0 || !row.parent ? found : linesOf(row.parent);
  };
  const select = (row) => {
    const { span } = row;
    spanTitle.replaceChildren(h("span", { class: `swatch ${colorClass(span)}`, "aria-hidden": "true" }), span.name);
    facts.replaceChildren(...spanFacts(row, { start, end, focus: view.focus }), h("p", { class: "actions" },
      h("button", { type: "button", class: "button", onclick: () => showDocument(row) }, "Raw JSON"),
      h("button", { type: "button", class: "button", onclick: () => show(linesOf(row)[0]) }, "Log lines")));
    const related = linesOf(row);
    // If all lines are related, none is marked.
    lineElements.forEach(([, it]) => it.classList.toggle("related", related.length < lines.length && related.includes(it)));
    chosen?.(span.id);
  };
  const show = (details) => {
    details?.scrollIntoView({ block: "nearest" });
    details?.querySelector("summary").focus();
  };
  const showDocument = ({ span }) => {
    const details = [...raw.querySelectorAll("details")].find((it) => it.dataset.key === documentOf(span, documents));
    if (details) details.open = true;
    show(details);
  };

  const lineElements = lines.map((line) => {
    const owner = owners.get(line);
    const time = instant(line.time);
    const element = lineElement(line, {
      time: `${time >= start ? "+" : "−"}${duration(Math.abs(time - start))}`, title: clock(line.time, true),
      extra: owner && h("button", { type: "button", class: "button to-span", onclick: () => view.focus(owner) }, `Span: ${owner.span.name}`),
    });
    element.dataset.key = `line ${line.sequence}`;
    return [line, element];
  });

  const view = timeline(rows, select);
  const requests = [...new Set(rows.map(({ span }) => span.aws?.api_gateway?.request_id).filter(Boolean))];
  const refused = (exchanges ?? []).findLast(problem);
  const failed = rows.findLast(({ span }) => span.fault || span.throttle || span.error);
  const cause = failed?.span.cause?.exceptions?.[0] ?? rows.find(({ span }) => span.cause?.exceptions?.length)?.span.cause.exceptions[0];
  pane.replaceChildren(
    h("header", { class: "trace-head" },
      h("a", { class: "back", href: `/_local/traces${location.search}`, onclick: (event) => { event.preventDefault(); back(); } }, "← Traces"),
      h("h2", { id: "trace-title" }, status(summary), " ", summary.method, " ", h("span", { class: "route" }, route(summary.route) || summary.operation || summary.id), h("span", { class: "badges" }, badges(summary))),
      h("dl", { class: "facts inline" },
        fact("Duration", duration(summary.durationMs)),
        fact("At", full(summary.start)),
        fact("Operation", summary.operation),
        fact("Version", summary.version),
        fact("Spans", String(rows.length)),
        requests.map((it) => fact("Request", h("code", { class: "id" }, it), " ", copyButton(it, "Copy the request id"))),
        fact("Trace", h("code", { class: "id" }, summary.id), " ", copyButton(summary.id, "Copy the trace id")))),
    kind(summary) !== "ok" && failed
      ? h("div", { class: `verdict ${kind(summary)}` },
        h("strong", {}, summary.errorCode || { fault: "Fault", throttle: "Throttled", error: "Error" }[kind(summary)]),
        cause && ` ${[...new Set([cause.type, cause.message])].filter((it) => it && it !== summary.errorCode).join(": ")}`,
        " ", h("button", { type: "button", class: "button", onclick: () => view.focus(failed) }, `Go to ${failed.span.name}`),
        refused && refusal(refused))
      : "",
    truncated ? h("p", { class: "verdict none" }, "This trace exceeds the maximum size: its last documents and lines are missing.") : "",
    h("section", { "aria-labelledby": "timeline-title" },
      h("h3", { id: "timeline-title", class: "hidden" }, "Timeline"), view.element),
    requests.length === 0 ? "" : h("section", { class: "exchanges", "aria-labelledby": "exchanges-title" },
      h("h3", { id: "exchanges-title" }, "Request and response"),
      exchanges?.length > 0 ? exchanges.map(showExchange) : h("p", { class: "muted" }, exchanges
        ? "They are not kept any more: only the most recent ones of this run are." : "They are not kept, because CAPTURE is 0.")),
    h("div", { class: "beside" },
      h("section", { class: "of-span", "aria-labelledby": "span-title" }, spanTitle, facts),
      h("section", { class: "of-trace", "aria-labelledby": "lines-title" },
        h("h3", { id: "lines-title" }, "Log lines", h("span", { class: "muted count" }, String(lines.length)),
          h("a", { class: "more-link", href: `/_local/logs?trace=${encodeURIComponent(summary.id)}` }, "in the logs")),
        lines.length > 0
          ? h("ol", { class: "lines boxed" }, lineElements.map(([, element]) => h("li", {}, element)))
          : h("p", { class: "muted" }, "No log lines yet."))),
    raw);

  const details = [...pane.querySelectorAll("details")];
  details.forEach((it) => { it.open = opened.includes(it.dataset.key); });
  details.find((it) => it.dataset.key === held)?.querySelector("summary").focus();
  const first = rows.find(({ span }) => span.id === id) ?? (kind(summary) !== "ok" ? failed : undefined) ?? rows[0];
  if (first) view.choose(first);
  if (again) view.element.scrollTop = scrolled;
  else if (first) { // scrolls the timeline, not the page, whose title stays visible
    const [top, chosen] = [view.elements[0], view.elements[rows.indexOf(first)]].map((it) => it.offsetTop);
    view.element.scrollTop = chosen - top - view.element.clientHeight / 2;
  }
  return { spans: view.elements, focus: () => view.focus(first) };
}

const fact = (name, ...value) => (value[0] === undefined || value[0] === "" ? "" : h("div", {}, h("dt", {}, name), h("dd", {}, value)));

// documentOf returns the id of the document that contains a span.
function documentOf(span, documents) {
  const holds = (document) => document.id === span.id || (document.subsegments ?? []).some(holds);
  return documents.find(holds)?.id;
}

// spanFacts returns the details of a span, in groups.
function spanFacts({ span, parent }, { start, end, focus }) {
  const t = times(span, end);
  const group = (title, entries) => {
    const list = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
    return list.length === 0 ? [] : [title && h("h4", {}, title), h("dl", { class: "facts" }, list.map(([name, value]) => fact(name, value instanceof Node ? value : format(value))))];
  };
  const { request, response } = span.http ?? {};
  const flags = ["error", "throttle", "fault", "in_progress"].filter((name) => span[name])
    .map((name) => h("span", { class: `badge ${name === "in_progress" ? "none" : name}` }, name.replace("_", " ")));
  const exceptions = span.cause?.exceptions ?? [];
  const flat = (value, prefix = "") => Object.entries(value ?? {}).flatMap(([name, it]) =>
    isObject(it) ? flat(it, `${prefix}${name}.`) : [[prefix + name, it]]);
  return [
    exceptions.map((it) => h("div", { class: `exception ${colorClass(span)}` },
      h("strong", {}, it.type ?? "Exception"), it.message && it.message !== it.type && h("p", {}, it.message))),
    group("", [
      ["Kind", about(span)],
      ["Result", flags.length > 0 ? h("span", {}, flags) : "ok"],
      ["Duration", duration(t.end - t.start)],
      ["Begins", `+${duration(t.start - start)}`],
      ["Within", parent && h("button", { type: "button", class: "link", onclick: () => focus(parent) }, parent.span.name)],
      ["Span", h("code", {}, span.id)],
      ["Parent", span.orphan && h("span", {}, h("code", {}, span.parent_id), " (not received)")],
    ].filter(([, value]) => value)),
    group("HTTP", [
      ["Request", request && `${request.method ?? ""} ${request.url ?? ""}`.trim()],
      ["Status", response?.status && h("span", { class: `status ${statusKind(response.status)}` }, String(response.status))],
      ["Length", response?.content_length && `${response.content_length} bytes`],
      ["Client", request?.client_ip],
      ["User agent", request?.user_agent],
    ]),
    group("Annotations", Object.entries(span.annotations ?? {}).sort()),
    group("AWS", [...flat(span.aws).map(([name, value]) => [name.slice(name.lastIndexOf(".") + 1), value]), ["resource_arn", span.resource_arn]]),
    group("Metadata", flat(span.metadata)),
  ].flat(Infinity).filter(Boolean);
}
