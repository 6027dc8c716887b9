// duration formats milliseconds with at most three digits.
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms === 0) return "0 ms";
  if (ms < 9.95) return `${ms.toFixed(ms < 0.995 ? 2 : 1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// clock formats the local time of day, optionally with milliseconds.
export function clock(time, milliseconds = false) {
  const date = new Date(time);
  return clockFormat.format(date) + (milliseconds ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "");
}

// instant converts an RFC 3339 time to milliseconds since 1970, with the microseconds that Date drops.
export function instant(time) {
  const fraction = /\.\d+/.exec(time)?.[0] ?? "";
  return Date.parse(time.replace(fraction, "")) + 1000 * Number(`0${fraction}`);
}

// full formats date and time.
export const full = (time) => fullFormat.format(new Date(time));

// plural formats a number with its noun.
export const plural = (n, noun) => `${n.toLocaleString()} ${noun}${n === 1 ? "" : "s"}`;

// percent formats a share of a whole.
export const percent = (part, whole) => (whole === 0 || part === 0 ? "0 %" : `${((100 * part) / whole).toFixed(part / whole < 0.1 ? 1 : 0)} %`);

// statusKind returns the class of a status code.
export function statusKind(status) {
  if (!status) return "none";
  if (status === 429) return "throttle";
  return status >= 500 ? "fault" : status >= 400 ? "error" : "ok";
}

// kind returns the outcome of a span or a trace.
export const kind = (it) => (it.fault ? "fault" : it.throttle ? "throttle" : it.error ? "error" : "ok");

// route returns a path without the stage.
export function route(path) {
  const prefix = `/${document.body.dataset.stage}`;
  return path?.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}
