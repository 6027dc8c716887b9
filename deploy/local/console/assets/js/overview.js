// The overview of the traces: groups, a latency histogram, and a scatter of duration over time. The server counts, so the
// size of the data does not depend on the number of traces.
import { $, h, svg } from "./dom.js";
import { clock, duration, full, percent, plural, statusKind } from "./format.js";

const height = 168, margin = { left: 54, right: 12, top: 10, bottom: 22 };
const colors = 7; // of groups; the others are gray

// overview returns a function that shows the overview. update is called with the fields of the filter that select what the
// user has chosen, and open with the id of a single trace.
export function overview({ filter, update, open }) {
  let data, drawn = "";
  let points = []; // the cells by time

  const by = () => filter.read().get("by") ?? "status";
  const nameOf = (group) => group.value || { status: "no status", code: "no error code" }[by()] || `no ${by()}`;
  const classOf = (n) => {
    const { value } = data.groups[n];
    return by() === "status" ? statusKind(Number(value)) : value !== "" && n < colors ? `g${n}` : "none";
  };
  // The limits of a bucket as the filter wants them: both are inclusive.
  const limits = (bucket) => {
    const [from, to] = data.edgesMs.slice(bucket, bucket + 2);
    return { min: from === 0 ? "" : `${from}ms`, max: to >= 100_000 ? "" : `${(to - 0.000001).toFixed(6)}ms` };
  };
  const period = (from, to) => ({ since: new Date(Math.floor(from)).toISOString(), until: new Date(Math.ceil(to)).toISOString() });
  const start = () => Date.parse(data.start);
  const length = () => Date.parse(data.end) - start() || 1;

  function show(it) {
    data = it;
    $("overview").hidden = data.traces === 0;
    const text = JSON.stringify([it, $("cells").clientWidth, filter.query()]);
    if (text === drawn || data.traces === 0) return;
    drawn = text;
    const focus = document.activeElement?.dataset?.place;
    drawGroups();
    drawBars();
    drawCells();
    if (focus) document.querySelector(`[data-place="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  }

  function drawGroups() {
    const field = by();
    const chosen = filter.read().get(field) ?? "";
    $("groups").replaceChildren(
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, { status: "Status", operation: "Operation", code: "Error code", version: "Version" }[field]),
        ["Traces", "Failed", "p50", "p95", "p99"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
      h("tbody", {}, data.groups.map((group, n) => {
        const { count, ok, p50Ms, p95Ms, p99Ms } = group.statistics;
        const name = [h("span", { class: `swatch ${classOf(n)}`, "aria-hidden": "true" }), nameOf(group)];
        return h("tr", {},
          h("th", { scope: "row" }, group.value === "" ? name : h("button", {
            type: "button", class: "link", "data-place": `group ${group.value}`, "aria-pressed": String(chosen === group.value),
            onclick: () => update({ [field]: chosen === group.value ? "" : group.value }),
          }, name)),
          [count.toLocaleString(), percent(count - ok, count), ...[p50Ms, p95Ms, p99Ms].map(duration)].map((cell) => h("td", { class: "number" }, cell)));
      })));
  }

  function drawBars() {
    const bars = data.edgesMs.slice(1).map(() => ({ total: 0, groups: new Map() }));
    for (const { bucket, group, count } of data.cells) {
      bars[bucket].total += count;
      bars[bucket].groups.set(group, (bars[bucket].groups.get(group) ?? 0) + count);
    }
    const most = Math.max(...bars.map((it) => it.total));
    const query = filter.read();
    const every = Math.ceil(bars.length / 6);
    let first = true;
    $("bars").replaceChildren(...bars.map(({ total, groups }, n) => {
      const { min, max } = limits(n);
      const pressed = (query.get("min") ?? "") === min && (query.get("max") ?? "") === max && min + max !== "";
      const parts = [...groups].sort(([a], [b]) => a - b);
      const label = `${duration(data.edgesMs[n])} to ${duration(data.edgesMs[n + 1])}: ${plural(total, "trace")}`;
      const details = parts.map(([group, count]) => `${nameOf(data.groups[group])}: ${count}`).join(", ");
      const bar = h("button", {
        type: "button", class: "bin", disabled: total === 0, title: `${label}\n${details}`, "aria-label": total === 0 ? label : `${label} (${details})`,
        "aria-pressed": String(pressed), tabindex: total > 0 && first ? 0 : -1, "data-place": `bar ${data.edgesMs[n]}`,
        onclick: () => update(pressed ? { min: "", max: "" } : { min, max }),
      },
      h("span", { class: "stack" }, parts.toReversed().map(([group, count]) => h("i", { class: classOf(group), style: { height: `${(100 * count) / most}%` } }))),
      h("span", { class: "tick" }, n % every === 0 ? duration(data.edgesMs[n]).replace(/\.0+ /, " ") : ""));
      first &&= total === 0;
      return bar;
    }));
  }

  function drawCells() {
    const chart = $("cells");
    const width = Math.max(240, chart.clientWidth);
    const log = (ms) => Math.log(Math.max(ms, 0.05));
    const low = log(data.edgesMs[0]), high = log(data.edgesMs.at(-1));
    const x = (ms) => margin.left + (ms / length()) * (width - margin.left - margin.right);
    const y = (ms) => height - margin.bottom - ((log(ms) - low) / (high - low)) * (height - margin.top - margin.bottom);
    const inside = data.edgesMs.filter((it) => it > 0);
    const decades = inside.filter((it) => Number.isInteger(Math.round(1e6 * Math.log10(it)) / 1e6));
    const ticks = decades.length > 1 ? decades : inside.filter((_, n) => n % Math.ceil(inside.length / 4) === 0);
    points = data.cells.toSorted((a, b) => a.startMs - b.startMs || a.durationMs - b.durationMs);
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.replaceChildren(
      ...ticks.map((ms) => svg("g", { "aria-hidden": "true" },
        svg("line", { x1: margin.left, x2: width - margin.right, y1: y(ms), y2: y(ms) }),
        svg("text", { class: "from", x: margin.left - 6, y: y(ms) + 4, "text-anchor": "end" }, duration(ms).replace(/\.0+ /, " ")))),
      ...[0, 0.5, 1].map((share) => svg("text", {
        "aria-hidden": "true", x: x(share * length()), y: height - 5, "text-anchor": ["start", "middle", "end"][2 * share],
      }, clock(start() + share * length(), length() < 10_000))),
      svg("rect", { class: "brush", height: height - margin.top - margin.bottom, y: margin.top, width: 0 }),
      ...points.map((cell, n) => {
        const text = [plural(cell.count, "trace"), nameOf(data.groups[cell.group]), duration(cell.durationMs), full(start() + cell.startMs)].join(", ");
        return svg("circle", {
          class: classOf(cell.group), cx: x(cell.startMs), cy: y(cell.durationMs), r: Math.min(9, 3 + 2 * Math.log10(cell.count)),
          role: "button", "aria-label": text, tabindex: n === 0 ? 0 : -1, "data-index": n,
          "data-place": cell.id || `cell ${data.groups[cell.group].value} ${cell.column} ${cell.bucket}`,
        }, svg("title", {}, text));
      }));
  }

  const choose = (circle, keyboard) => {
    const cell = points[circle.dataset.index];
    if (cell.id) return open(cell.id, keyboard);
    const column = length() / data.columns;
    update({ ...limits(cell.bucket), ...period(start() + cell.column * column, start() + (cell.column + 1) * column) });
  };
  // focusOne makes one of elements reachable with Tab, and focuses it.
  const focusOne = (elements, it) => {
    if (!it) return;
    elements.forEach((other) => other.setAttribute("tabindex", other === it ? 0 : -1));
    it.focus();
  };
  $("bars").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const bars = [...$("bars").querySelectorAll("button:enabled")];
    focusOne(bars, bars[bars.indexOf(document.activeElement) + step]);
    event.preventDefault();
  });
  $("cells").addEventListener("keydown", (event) => {
    const circles = [...$("cells").querySelectorAll("circle")], at = circles.indexOf(event.target);
    if (at < 0) return;
    const place = (it) => ({ x: it.cx.baseVal.value, y: it.cy.baseVal.value });
    const here = place(event.target);
    // The nearest circle above or below.
    const vertical = (sign) => circles.filter((it) => sign * (place(it).y - here.y) > 0.5)
      .sort((a, b) => Math.hypot(place(a).x - here.x, place(a).y - here.y) - Math.hypot(place(b).x - here.x, place(b).y - here.y))[0];
    switch (event.key) {
      case "ArrowLeft": focusOne(circles, circles[at - 1]); break;
      case "ArrowRight": focusOne(circles, circles[at + 1]); break;
      case "ArrowUp": focusOne(circles, vertical(-1)); break;
      case "ArrowDown": focusOne(circles, vertical(1)); break;
      case "Home": focusOne(circles, circles[0]); break;
      case "End": focusOne(circles, circles.at(-1)); break;
      case "Enter": case " ": choose(event.target, true); break;
      default: return;
    }
    event.preventDefault();
  });
  $("cells").addEventListener("click", (event) => {
    const circle = event.target.closest("circle");
    if (circle) choose(circle, false);
  });

  // Dragging selects a period.
  let from;
  const at = (event) => {
    const { left, width } = $("cells").getBoundingClientRect();
    return Math.min(Math.max(event.clientX - left, margin.left), width - margin.right);
  };
  const brush = (a, b) => {
    $("cells").querySelector(".brush")?.setAttribute("x", Math.min(a, b));
    $("cells").querySelector(".brush")?.setAttribute("width", Math.abs(b - a));
  };
  $("cells").addEventListener("pointerdown", (event) => { if (event.button === 0 && event.pointerType === "mouse") from = at(event); });
  window.addEventListener("pointermove", (event) => { if (from !== undefined) brush(from, at(event)); });
  window.addEventListener("pointerup", (event) => {
    if (from === undefined) return;
    const [a, b] = [from, at(event)].sort((one, other) => one - other);
    from = undefined;
    brush(0, 0);
    if (b - a < 6) return; // a click
    const { width } = $("cells").getBoundingClientRect();
    const time = (position) => start() + (length() * (position - margin.left)) / (width - margin.left - margin.right);
    update(period(time(a), time(b)));
  });
  $("by").addEventListener("input", () => update({}));
  new ResizeObserver(() => { if (data) show(data); }).observe($("overview"));
  return show;
}
