// The home page.
import { get } from "./api.js";
import { $, copyButton, h, reconcile } from "./dom.js";
import { clock } from "./format.js";
import { live } from "./page.js";
import { showTraces } from "./row.js";

live(async () => {
  const [stack, { traces }] = await Promise.all([get("stack"), get("traces", new URLSearchParams({ limit: 6 }))]);
  showStack(stack);
  showTraces($("traces"), traces);
  if (traces.length === 0) $("traces").replaceChildren(h("li", { class: "none muted" }, "None yet. Run one of the commands above in a terminal."));
});

function showStack(stack) {
  $("url").textContent = stack.url;
  reconcile($("failures"), stack.failures ?? [], (it) => (it.functions ?? []).join(" "), JSON.stringify, (it) => h("div", { class: "failure" },
    h("h2", {}, it.functions?.length ? `${it.functions.join(", ")} ${it.functions.length > 1 ? "do" : "does"} not compile` : "The change could not be applied"),
    h("p", { class: "muted" }, `Since ${clock(it.time)}. `, it.functions?.length
      ? "Requests for these functions get the problem BuildFailed. Everything else keeps running." : "The previous version keeps running."),
    h("div", { class: "whole" }, h("div", { class: "actions" }, copyButton(it.output)), h("pre", { tabindex: 0 }, it.output))));
  $("authorization").textContent = stack.authorization && stack.authorization !== "NONE" ? `Requests must be authorized: ${stack.authorization}.` : "";
  reconcile($("curl"), stack.curl ?? [], (it) => it, (it) => it, (it) => h("li", {}, h("pre", { tabindex: 0 }, h("code", {}, it)), copyButton(it)));
  reconcile($("routes"), stack.routes ?? [], (it) => `${it.method} ${it.path}`, JSON.stringify, (it) => h("tr", {},
    h("td", {}, h("b", { class: "method" }, it.method)), h("td", {}, h("code", {}, it.path)),
    h("td", { class: "wide" }, it.summary), h("td", { class: "wide", "data-label": "Function" }, h("code", {}, it.function))));
  const data = [
    ["Database", stack.database], ["Tables", (stack.tables ?? []).join(", ")], ["Kept in", stack.dataDir], ["Log file", stack.logFile],
    ["Hot reload", stack.reload ? "on: saved changes are applied immediately" : "off"],
  ].filter(([, value]) => value);
  reconcile($("data"), data, ([name]) => name, String, ([name, value]) => h("div", {}, h("dt", {}, name),
    h("dd", {}, name === "Hot reload" ? value : h("code", {}, value), name === "Hot reload" ? "" : copyButton(value))));
}
