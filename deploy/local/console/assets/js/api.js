import { parse } from "./json.js";

// get fetches JSON from the console. It throws an Error with the detail and the status of a problem document.
export async function get(path, parameters) {
  const query = parameters?.toString();
  const response = await fetch(`/_local/api/${path}${query ? `?${query}` : ""}`, { headers: { Accept: "application/json" } });
  const body = parse(await response.text());
  if (!response.ok) throw Object.assign(new Error(body.detail ?? body.title), { status: response.status });
  return body;
}

// clear deletes all traces and log lines.
export const clear = () => fetch("/_local/api/clear", { method: "POST" });
