// Spans of a trace.
import { instant, kind } from "./format.js";
import { number, parse } from "./json.js";

// flatten lists the spans of a trace, parents before their children, each with its depth and its parent.
export function flatten(roots) {
  const rows = [];
  const add = (span, depth, parent) => {
    const row = { span, depth, parent };
    rows.push(row);
    for (const child of span.children ?? []) add(child, depth + 1, row);
  };
  roots.forEach((root) => add(root, 0));
  return rows;
}

// times returns start and end of a span in milliseconds since 1970. A span in progress ends at end, or else at its start.
export function times(span, end) {
  const start = span.start_time * 1000;
  return { start, end: span.end_time ? span.end_time * 1000 : Math.max(start, end ?? start) };
}

// extent returns the first start and the last end of all spans.
export function extent(rows) {
  const start = Math.min(...rows.map(({ span }) => times(span).start));
  return { start, end: Math.max(start, ...rows.map(({ span }) => times(span).end)) };
}

// isInit reports whether a span is the initialization of an execution environment.
const isInit = (span) => span.name === "Initialization";

// isPlatform reports whether a span is from API Gateway or Lambda, not from the function.
export const isPlatform = (span) => Boolean(span.origin || span.aws?.function_name) || ["Invocation", "Overhead"].includes(span.name);

// colorClass returns the CSS class for the color of a span.
export const colorClass = (span) => (kind(span) !== "ok" ? kind(span) : isInit(span) ? "cold" : "ok");

const origins = {
  "AWS::ApiGateway::Stage": "API Gateway",
  "AWS::Lambda": "Lambda service",
  "AWS::Lambda::Function": "Lambda function",
};

// about describes a span in a few words.
export function about(span) {
  const aws = span.aws ?? {};
  const parts = span.origin ? [origins[span.origin] ?? span.origin] : [aws.operation !== span.name && aws.operation, aws.table_name ?? aws.function_name];
  const retries = number(aws.retries);
  if (retries > 0) parts.push(`${retries} ${retries === 1 ? "retry" : "retries"}`);
  return parts.filter(Boolean).join(" · ");
}

const requestIDs = (span) => [span.aws?.request_id, span.aws?.api_gateway?.request_id];

// spanOf returns the row that a log line belongs to: for platform lines the segment of the request, for lines of a function
// its innermost span at that time, or else the handler's.
export function spanOf(line, rows) {
  const ids = lineIDs(line);
  const under = (row, ancestor) => row === ancestor || (row.parent !== undefined && under(row.parent, ancestor));
  const named = ({ span }) => span.origin && span.name === line.source;
  const ofRequest = ({ span }) => span.origin && requestIDs(span).some((id) => id && ids.includes(id));
  // A trace may have several requests. The segment of the function follows that of the service.
  const owner = rows.findLast((row) => named(row) && rows.some((it) => ofRequest(it) && under(row, it))) ?? rows.findLast(ofRequest) ?? rows.findLast(named);
  if (!owner || line.type !== "function") return owner;
  const own = rows.filter((row) => row !== owner && under(row, owner) && !isPlatform(row.span) && !isInit(row.span));
  const time = instant(line.time);
  return own.findLast(({ span }) => times(span).start <= time && time <= times(span, Infinity).end) ?? own[0] ?? owner;
}

// fields returns the fields of a line that is a JSON object.
export function fields(line) {
  if (!line.text?.startsWith("{")) return undefined;
  try {
    return parse(line.text);
  } catch {
    return undefined;
  }
}

// lineIDs returns the request IDs in a line.
export function lineIDs(line) {
  const it = fields(line) ?? {};
  return [line.requestId, it.requestId, it.lambdaRequestId, it.record?.requestId].filter(Boolean);
}
