import { parse } from "./json.js";

// get fetches JSON of the console. A refusal is an Error with the detail of the problem document, and its status.
export async function get(path, parameters) {
  const query = parameters?.toString();
  const response = await fetch(`/_local/api/${path}${query ? `?${query}` : ""}`, { headers: { Accept: "application/json" } });
  const body = parse(await response.text());
  if (!response.ok) throw Object.assign(new Error(body.detail ?? body.title), { status: response.status });
  return body;
}

// clear has the console forget all traces and log lines.
export const clear = () => fetch("/_local/api/clear", { method: "POST" });
