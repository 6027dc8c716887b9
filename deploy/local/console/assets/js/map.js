// The service map: calls between services with rate, latency and outcome.
import { get } from "./api.js";
import { $, h, svg } from "./dom.js";
import { duration, percent, plural } from "./format.js";
import { filters, keys, live, moveFocus } from "./page.js";

const column = 240, row = 134, radius = 33, margin = { x: 96, top: 52, bottom: 98 };
const outcomes = ["ok", "error", "throttle", "fault"];
const types = {
  client: "Client",
  "AWS::ApiGateway::Stage": "API Gateway stage",
  "AWS::Lambda": "Lambda service",
  "AWS::Lambda::Function": "Lambda function",
  "AWS::DynamoDB::Table": "DynamoDB table",
};
const filter = filters(() => updates.change());
let drawn = "";

const updates = live(async () => {
  const [map, { groups }] = await Promise.all([get("map", filter.read()), get("overview", new URLSearchParams({ by: "operation" }))]);
  filter.offer("operation", groups.map((it) => it.value).sort());
  const text = JSON.stringify(map);
  if (text === drawn && $("empty").hidden) return;
  drawn = text;
  draw(map);
});

function draw(map) {
  const nodes = map.nodes ?? [], edges = map.edges ?? [];
  const rate = rateOver(Date.parse(map.end) - Date.parse(map.start));
  $("count").textContent = nodes.length > 0 ? `of ${plural(map.traces, "trace")}` : "";
  const filtered = filter.read().size > 0;
  $("empty").hidden = nodes.length > 0;
  document.querySelectorAll(".chart, .legend, main > section").forEach((it) => { it.hidden = nodes.length === 0; });
  $("empty").replaceChildren(h("p", {}, h("strong", {}, filtered ? "No traces match the filter" : "No traces yet")),
    h("p", { class: "muted" }, filtered ? "Change or clear the filter." : "Send a request to see its services here."));
  if (nodes.length === 0) return;

  const { places, width, height } = arrange(nodes, edges);
  const focus = document.activeElement?.getAttribute?.("data-node");
  $("map").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("map").style.setProperty("min-width", `${Math.round(0.8 * width)}px`);
  $("map").style.setProperty("max-width", `${Math.round(1.1 * width)}px`);
  $("map").replaceChildren(
    ...edges.map((edge) => drawEdge(edge, places, edges, rate)),
    ...nodes.map((node) => drawNode(node, places.get(node.id), rate)));
  if (focus) $("map").querySelector(`[data-node="${CSS.escape(focus)}"]`)?.focus();

  nodes.sort((a, b) => places.get(a.id).x - places.get(b.id).x || places.get(a.id).y - places.get(b.id).y);
  const names = new Map(nodes.map((node) => [node.id, node.name]));
  table($("nodes"), ["Service", "Kind"], nodes.map((node) => [node.statistics, [
    h("a", { href: tracesOf(node) }, node.name), types[node.type] ?? node.type]]), rate);
  table($("edges"), ["From", "To"], edges.map((edge) => [edge.statistics, [names.get(edge.source), names.get(edge.target)]]), rate);
}

// rateOver returns a function that formats a rate over a period of at least ten seconds.
function rateOver(ms) {
  return (count) => {
    if (!(ms >= 10_000)) return "–";
    const perSecond = (1000 * count) / ms;
    return perSecond >= 1 ? `${perSecond.toFixed(perSecond < 10 ? 1 : 0)}/s` : `${(60 * perSecond).toFixed(60 * perSecond < 10 ? 1 : 0)}/min`;
  };
}

const tracesOf = (node) => `/_local/traces${node.type === "client" ? "" : `?${new URLSearchParams({ text: node.name })}`}`;

// arrange puts each node one column after the last of its callers, and orders columns by the positions of the callers.
function arrange(nodes, edges) {
  const layer = new Map();
  const depth = (id, path) => {
    if (layer.has(id)) return layer.get(id);
    const callers = edges.filter((edge) => edge.target === id && !path.includes(edge.source));
    const d = callers.length === 0 ? 0 : 1 + Math.max(...callers.map((edge) => depth(edge.source, [...path, id])));
    layer.set(id, d);
    return d;
  };
  nodes.forEach((node) => depth(node.id, []));
  const columns = [];
  nodes.forEach((node) => (columns[layer.get(node.id)] ??= []).push(node));
  const rows = Math.max(1, ...columns.map((it) => it.length));
  const places = new Map();
  columns.forEach((members, x) => {
    const callersY = (node) => {
      const callers = edges.filter((edge) => edge.target === node.id && places.has(edge.source)).map((edge) => places.get(edge.source).y);
      return callers.length === 0 ? 0 : callers.reduce((sum, y) => sum + y, 0) / callers.length;
    };
    members.sort((a, b) => callersY(a) - callersY(b) || a.name.localeCompare(b.name));
    members.forEach((node, y) => places.set(node.id, {
      x: margin.x + x * column, y: margin.top + (y + (rows - members.length) / 2) * row,
    }));
  });
  return { places, width: 2 * margin.x + (columns.length - 1) * column, height: margin.top + margin.bottom + (rows - 1) * row };
}

// abbreviate shortens a name that would overlap its neighbours.
const abbreviate = (name) => (name.length > 25 ? `${name.slice(0, 12)}…${name.slice(-12)}` : name);

const worst = (statistics) => (statistics.fault ? "fault" : statistics.throttle ? "throttle" : statistics.error ? "error" : "ok");

const failures = (statistics) => outcomes.slice(1).filter((outcome) => statistics[outcome] > 0).map((outcome) => `${percent(statistics[outcome], statistics.count)} ${outcome}`);

function drawNode(node, { x, y }, rate) {
  const { statistics } = node;
  const circumference = 2 * Math.PI * radius;
  let offset = 0;
  const arcs = outcomes.filter((outcome) => statistics[outcome] > 0).map((outcome) => {
    const share = statistics[outcome] / statistics.count;
    const arc = svg("circle", {
      class: `ring ${outcome}`, cx: x, cy: y, r: radius, transform: `rotate(${offset * 360 - 90} ${x} ${y})`, "stroke-dasharray": `${share * circumference} ${circumference}`,
    });
    offset += share;
    return arc;
  });
  const kind = types[node.type] ?? node.type;
  const requests = statistics.count > 0 ? [plural(statistics.count, "request"), rate(statistics.count) !== "–" && rate(statistics.count)].filter(Boolean).join(" · ") : "";
  const label = [node.name, kind, requests, statistics.count > 0 && `${duration(statistics.averageMs)} on average`, ...failures(statistics)].filter(Boolean).join(", ");
  return svg("a", { href: tracesOf(node), "data-node": node.id, "aria-label": label },
    svg("title", {}, label),
    svg("circle", { class: "disc", cx: x, cy: y, r: radius }),
    arcs.length > 0 ? arcs : svg("circle", { class: "ring none", cx: x, cy: y, r: radius }),
    svg("text", { x, y: y + 4 }, statistics.count > 0 ? duration(statistics.averageMs) : "–"),
    svg("text", { class: "halo", x, y: y + radius + 20 }, abbreviate(node.name)),
    svg("text", { class: "small halo", x, y: y + radius + 35 }, kind),
    svg("text", { class: "small halo", x, y: y + radius + 50 }, requests));
}

function drawEdge(edge, places, edges, rate) {
  const from = places.get(edge.source), to = places.get(edge.target);
  if (!from || !to) return "";
  const { statistics } = edge;
  const x1 = from.x + radius + 5, x2 = to.x - radius - 12, bend = (x2 - x1) / 2;
  // Labels are at the end with fewer edges, where they do not overlap.
  const outgoing = edges.filter((it) => it.source === edge.source).length, incoming = edges.filter((it) => it.target === edge.target).length;
  const end = outgoing > incoming ? "to" : outgoing < incoming ? "from" : "";
  const x = { to: x2 - 2, from: x1 + 4, "": (x1 + x2) / 2 }[end], y = { to: to.y, from: from.y, "": (from.y + to.y) / 2 }[end];
  const outcome = worst(statistics);
  const requests = rate(statistics.count) === "–" ? `${statistics.count}×` : rate(statistics.count);
  return svg("g", { "aria-hidden": "true" },
    svg("title", {}, [`${statistics.count} calls`, `p50 ${duration(statistics.p50Ms)}`, `p95 ${duration(statistics.p95Ms)}`, `p99 ${duration(statistics.p99Ms)}`, ...failures(statistics)].join(", ")),
    svg("path", {
      class: `edge ${outcome}`, "stroke-width": 1.25 + Math.min(2.5, Math.log10(Math.max(1, statistics.count))),
      d: `M${x1},${from.y} C${x1 + bend},${from.y} ${x2 - bend},${to.y} ${x2},${to.y}`,
    }),
    svg("path", { class: "head", d: `M${x2 + 8},${to.y} l-10,-4.5 v9 z` }),
    svg("text", { class: `small halo ${end}`, x, y: y - 8 }, `${requests} · ${duration(statistics.averageMs)}`),
    outcome !== "ok" && svg("text", { class: `small halo tinted ${outcome} ${end}`, x, y: y + 17 }, `${percent(statistics[outcome], statistics.count)} ${outcome}`));
}

const columns = ["Requests", "Rate", "OK", "Error", "Throttle", "Fault", "Average", "p50", "p95", "p99"];

function table(element, names, rows, rate) {
  const share = ({ count, ...statistics }, outcome) => (statistics[outcome] > 0
    ? h("span", { class: `share ${outcome}`, title: String(statistics[outcome]) }, percent(statistics[outcome], count)) : h("span", { class: "muted" }, "–"));
  const values = (statistics) => [
    statistics.count.toLocaleString(), rate(statistics.count), ...outcomes.map((outcome) => share(statistics, outcome)),
    ...["averageMs", "p50Ms", "p95Ms", "p99Ms"].map((name) => (statistics.count > 0 ? duration(statistics[name]) : "–"))];
  element.replaceChildren(
    h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)),
      columns.map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", {}, rows.map(([statistics, cells]) => h("tr", {},
      cells.map((cell, n) => (n === 0 ? h("th", { scope: "row" }, cell) : h("td", { class: "wide", "data-label": names[n] }, cell))),
      values(statistics).map((value, n) => h("td", { class: "number", "data-label": columns[n] }, value))))));
}

const nodeLinks = () => [...$("map").querySelectorAll("a")];
keys({ j: () => moveFocus(nodeLinks(), 1), k: () => moveFocus(nodeLinks(), -1) });
