// duration is a time in milliseconds as people write it, with three digits at most.
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

// clock is the time of day of this machine, with milliseconds if asked.
export function clock(time, milliseconds = false) {
  const date = new Date(time);
  return clockFormat.format(date) + (milliseconds ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "");
}

// instant is a time as the API writes it (RFC 3339), in milliseconds since 1970: with the microseconds that a Date has not.
export function instant(time) {
  const fraction = /\.\d+/.exec(time)?.[0] ?? "";
  return Date.parse(time.replace(fraction, "")) + 1000 * Number(`0${fraction}`);
}

// full is date and time.
export const full = (time) => fullFormat.format(new Date(time));

// plural is a number with its noun.
export const plural = (n, noun) => `${n.toLocaleString()} ${noun}${n === 1 ? "" : "s"}`;

// percent is a share of a whole.
export const percent = (part, whole) => (whole === 0 || part === 0 ? "0 %" : `${((100 * part) / whole).toFixed(part / whole < 0.1 ? 1 : 0)} %`);

// statusKind is the class of an HTTP status.
export function statusKind(status) {
  if (!status) return "none";
  if (status === 429) return "throttle";
  return status >= 500 ? "fault" : status >= 400 ? "error" : "ok";
}

// kind is how something went: of a span, or of a trace.
export const kind = (it) => (it.fault ? "fault" : it.throttle ? "throttle" : it.error ? "error" : "ok");

// route is the path of a request within the stage.
export function route(path) {
  const prefix = `/${document.body.dataset.stage}`;
  return path?.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}
