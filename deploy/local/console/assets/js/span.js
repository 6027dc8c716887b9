// Spans of a trace: what they are called, what is known of them, and where they belong.
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

// times are a span's, in milliseconds since 1970; one that has not ended lasts until the end given.
export function times(span, end) {
  const start = span.start_time * 1000;
  return { start, end: span.end_time ? span.end_time * 1000 : Math.max(start, end ?? start) };
}

// extent is from the first start to the last end of all spans.
export function extent(rows) {
  const start = Math.min(...rows.map(({ span }) => times(span).start));
  return { start, end: Math.max(start, ...rows.map(({ span }) => times(span).end)) };
}

// isInit tells whether a span is the start of an execution environment: the cold part of a cold start.
export const isInit = (span) => span.name === "Initialization";

// ofPlatform tells what API Gateway and Lambda do from what the function does itself.
export const ofPlatform = (span) => Boolean(span.origin || span.aws?.function_name) || ["Invocation", "Overhead"].includes(span.name);

// look is how a span is coloured.
export const look = (span) => (kind(span) !== "ok" ? kind(span) : isInit(span) ? "cold" : "ok");

const origins = {
  "AWS::ApiGateway::Stage": "API Gateway",
  "AWS::Lambda": "Lambda service",
  "AWS::Lambda::Function": "Lambda function",
};

// about says in a few words what a span is, beyond its name.
export function about(span) {
  const aws = span.aws ?? {};
  const parts = span.origin ? [origins[span.origin] ?? span.origin] : [aws.operation !== span.name && aws.operation, aws.table_name ?? aws.function_name];
  const retries = number(aws.retries);
  if (retries > 0) parts.push(`${retries} ${retries === 1 ? "retry" : "retries"}`);
  return parts.filter(Boolean).join(" · ");
}

const requestOf = (span) => [span.aws?.request_id, span.aws?.api_gateway?.request_id];

// spanOf is the row that a log line belongs to: of the platform's lines the segment of the request that they tell of, of a
// function's the innermost of its own spans that was under way then, else the handler's.
export function spanOf(line, rows) {
  const ids = lineIDs(line);
  const under = (row, ancestor) => row === ancestor || (row.parent !== undefined && under(row.parent, ancestor));
  const named = ({ span }) => span.origin && span.name === line.source;
  const asked = ({ span }) => span.origin && requestOf(span).some((id) => id && ids.includes(id));
  // A trace may have several requests. The last of a request's segments is that of the function, after that of the service.
  const owner = rows.findLast((row) => named(row) && rows.some((it) => asked(it) && under(row, it))) ?? rows.findLast(asked) ?? rows.findLast(named);
  if (!owner || line.type !== "function") return owner;
  const own = rows.filter((row) => row !== owner && under(row, owner) && !ofPlatform(row.span) && !isInit(row.span));
  const time = instant(line.time);
  return own.findLast(({ span }) => times(span).start <= time && time <= times(span, Infinity).end) ?? own[0] ?? owner;
}

// fields are those of a line that is a JSON object.
export function fields(line) {
  if (!line.text?.startsWith("{")) return undefined;
  try {
    return parse(line.text);
  } catch {
    return undefined;
  }
}

// lineIDs are the request ids that a line has.
export function lineIDs(line) {
  const it = fields(line) ?? {};
  return [line.requestId, it.requestId, it.lambdaRequestId, it.record?.requestId].filter(Boolean);
}
