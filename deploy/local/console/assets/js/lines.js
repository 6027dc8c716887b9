// Log lines: the message, then the remaining fields.
import { copyButton, h } from "./dom.js";
import { clock, duration, statusKind } from "./format.js";
import { format, number } from "./json.js";
import { fields } from "./span.js";

// Fields that are displayed elsewhere, or only in the complete line.
const hidden = new Set(["timestamp", "time", "level", "message", "service", "function", "version", "xrayTraceId", "requestId", "lambdaRequestId",
  "stack", "_aws", "logStream", "userIdHash", "extendedRequestId", "integrationRequestId", "requestTime", "protocol"]);
// Fields that are displayed only with another value.
const usual = { outcome: "Success", retries: 0, coldStart: false, integrationStatus: "200" };
const levels = { DEBUG: "debug", INFO: "info", WARN: "warn", WARNING: "warn", ERROR: "bad", DPANIC: "bad", PANIC: "bad", FATAL: "bad" };

// read splits a line into its level, its message and the other fields.
export function read(line) {
  const it = fields(line);
  if (!it) { // plain text, usually from Lambda
    const failed = line.type === "platform.fault" || /\tStatus: (error|timeout|failure)/.test(line.text);
    return { level: failed ? "ERROR" : "", message: [line.text.split("\n", 1)[0].replace(/RequestId: \S+\s*/, "").replaceAll("\t", "  ")], facts: [] };
  }
  if (it.record) { // a platform event
    const { metrics, status, errorType, phase } = it.record;
    const failed = (status && status !== "success") || it.type === "platform.fault";
    return {
      level: failed ? "ERROR" : "", message: [it.type],
      facts: typeof it.record === "string" ? [["", it.record]] : Object.entries({ phase, status, errorType, ...metrics }).filter(([, v]) => v !== undefined),
    };
  }
  const taken = new Set(hidden);
  const message = [];
  const request = it.status !== undefined && (it.message === "request" || it.message === undefined);
  if (request) {
    const { status } = it, ms = it.durationMs ?? it.responseLatency;
    ["status", "durationMs", "responseLatency", "method", "httpMethod", "route", "resourcePath", "errorCode", "coldStart", "functionStatus"].forEach((name) => taken.add(name));
    message.push(h("b", {}, it.method ?? it.httpMethod ?? ""), ` ${it.route ?? it.resourcePath ?? ""} `,
      h("span", { class: `status ${statusKind(number(status))}` }, format(status)));
    if (ms !== undefined && Number.isFinite(number(ms))) message.push(` ${duration(number(ms))}`);
    if (it.errorCode) message.push(" ", h("span", { class: `badge ${statusKind(number(status))}` }, format(it.errorCode)));
    if (it.coldStart === true) message.push(" ", h("span", { class: "badge cold" }, "cold start"));
  } else {
    message.push(it.message === undefined ? "" : format(it.message));
  }
  const facts = Object.entries(it).filter(([name, value]) => !taken.has(name) && value !== "" && value !== "-" && value !== null && usual[name] !== value);
  return { level: format(it.level ?? ""), message, facts };
}

// lineElement returns a line that expands to its complete content. extra are additional buttons and links.
export function lineElement(line, { time = clock(line.time, true), title, extra = [] } = {}) {
  const { level, message, facts } = read(line);
  const it = fields(line);
  return h("details", { class: `line ${levels[level] ?? "plain"}` },
    h("summary", {},
      h("time", { datetime: line.time, title: title ?? line.time }, time),
      h("span", { class: "level" }, level),
      h("span", { class: "source", title: line.stream || undefined }, line.source),
      h("span", { class: "text" }, message, " ",
        h("span", { class: "more" }, facts.slice(0, 8).map(([name, value]) => [name && h("i", {}, `${name}=`), `${format(value).slice(0, 120)} `])))),
    h("div", { class: "whole" },
      h("div", { class: "actions" }, extra, copyButton(line.text, "Copy the line")),
      it?.stack && h("pre", { class: "stack" }, it.stack),
      h("pre", {}, it ? JSON.stringify(it, null, 2) : line.text)));
}
