// The timeline of a trace: its spans, nested and to scale.
import { h } from "./dom.js";
import { clock, duration, kind } from "./format.js";
import { about, colorClass, extent, isPlatform, times } from "./span.js";

// steps are the possible distances between marks of the axis, in milliseconds.
const steps = [1, 2, 5].flatMap((n) => [-3, -2, -1, 0, 1, 2, 3, 4, 5].map((e) => n * 10 ** e)).sort((a, b) => a - b);

// timeline draws rows. select is called with each selected row. The result has functions to select and to focus a row.
export function timeline(rows, select) {
  const { start, end } = extent(rows);
  const whole = Math.max(end - start, 0.001);
  const percentAt = (time) => (100 * (time - start)) / whole;
  const step = steps.find((it) => whole / it <= 5) ?? whole;
  const marks = Array.from({ length: Math.floor(whole / step) + 1 }, (_, n) => n * step);

  const grid = () => h("span", { class: "grid", "aria-hidden": "true" },
    marks.map((mark) => h("i", { style: { left: `${(100 * mark) / whole}%` } })));
  const elements = rows.map((row) => {
    const { span, depth } = row;
    const t = times(span, end);
    const left = percentAt(t.start), right = percentAt(t.end), length = duration(t.end - t.start);
    const flags = [kind(span) !== "ok" && kind(span), span.in_progress && "in progress", span.orphan && "parent not received"].filter(Boolean);
    return h("li", {
      role: "treeitem", class: `span ${colorClass(span)}${isPlatform(span) ? " platform" : ""}`, "aria-level": depth + 1, "aria-selected": "false", tabindex: -1, "data-id": span.id,
      "data-name": span.name, style: { "--depth": depth },
      "aria-label": [span.name, about(span), length, `from ${duration(t.start - start)}`, ...flags].filter(Boolean).join(", "),
      onclick: () => focus(row),
      onfocus: () => choose(row),
    },
    h("span", { class: "name" },
      h("strong", {}, span.name), h("span", { class: "muted" }, about(span)),
      flags.map((flag) => h("em", { class: `badge ${kind(span)}` }, flag))),
    h("span", { class: "track" }, grid(),
      h("span", { class: `extent${span.in_progress ? " open" : ""}`, style: { left: `${left}%`, width: `${right - left}%` } })),
    h("span", { class: "length" }, length));
  });

  const mark = (row) => elements.forEach((element, n) => {
    element.setAttribute("aria-selected", String(rows[n] === row));
    element.tabIndex = rows[n] === row ? 0 : -1;
  });
  let chosen;
  const choose = (row) => {
    if (row === chosen) return;
    chosen = row;
    mark(row);
    select(row);
  };
  const focus = (row) => {
    elements[rows.indexOf(row)]?.focus();
    choose(row); // a page without the focus gets no event
  };
  const element = h("div", { class: "timeline" },
    h("div", { class: "axis", "aria-hidden": "true" },
      h("span", { class: "name muted" }, clock(start, true)),
      h("span", { class: "track" }, marks.map((mark, n) => h("span", {
        class: n > 0 && (100 * mark) / whole > 96 ? "last" : undefined, style: { left: `${(100 * mark) / whole}%` },
      }, mark === 0 ? "0" : duration(mark).replace(/\.0+ /, " ")))),
      h("span", { class: "length" })),
    h("ol", { role: "tree", "aria-label": "Spans" }, elements));
  return { element, elements, choose, focus };
}
