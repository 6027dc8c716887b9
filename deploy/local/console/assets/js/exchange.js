// The requests of a trace and their responses, as they were sent.
import { copyButton, h } from "./dom.js";
import { plural, statusKind } from "./format.js";
import { format, indent, isObject, parse } from "./json.js";

// problem returns the problem document (RFC 9457) in the response of an exchange, or undefined.
export function problem({ status, response }) {
  if (status < 400 || !response.body) return undefined;
  try {
    const document = parse(response.body);
    return isObject(document) ? document : undefined;
  } catch {
    return undefined;
  }
}

// refusal describes why a request was rejected: the errors of the problem document, each with the value that was sent, or
// else its detail.
export function refusal(exchange) {
  const { errors, detail } = problem(exchange) ?? {};
  if (!Array.isArray(errors) || errors.length === 0) return detail ? h("p", {}, format(detail)) : "";
  const sent = safely(() => parse(exchange.request.body));
  return h("ul", { class: "errors" }, errors.filter(isObject).map((it) => {
    const value = it.pointer === undefined ? undefined : safely(() => at(sent, format(it.pointer)));
    return h("li", {}, it.pointer !== undefined && h("code", {}, format(it.pointer) || "(the body)"), " ", it.code && h("strong", {}, format(it.code)), " ",
      it.detail && format(it.detail), value !== undefined && [" Sent: ", h("code", {}, JSON.stringify(value).slice(0, 120))]);
  }));
}

function safely(get) {
  try {
    return get();
  } catch {
    return undefined;
  }
}

// at returns the value at a JSON Pointer (RFC 6901), which may be a URL fragment, or undefined.
function at(value, pointer) {
  const names = (pointer.startsWith("#") ? decodeURIComponent(pointer.slice(1)) : pointer).split("/").slice(1);
  const child = (it, name) => (it instanceof Object && Object.hasOwn(it, name) ? it[name] : undefined); // not such as constructor
  return names.length === 0 ? undefined : names.reduce((it, name) => child(it, name.replaceAll("~1", "/").replaceAll("~0", "~")), value);
}

// showExchange shows a request and its response.
export function showExchange(exchange) {
  const { request, response } = exchange;
  const command = curl(exchange);
  const routed = exchange.route && !exchange.route.includes("+}"); // a greedy parameter: no operation
  return h("div", { class: "exchange" },
    h("p", { class: "address" }, h("b", { class: "method" }, exchange.method), " ", h("code", {}, exchange.address)),
    h("p", { class: "actions" },
      command && copyButton(command, "Copy as curl", "Copy as curl"),
      !command && h("span", { class: "muted" }, "The body is not kept, so there is no curl command."),
      routed && h("a", { class: "button", href: `/_local/docs/?request=${encodeURIComponent(exchange.requestId)}` }, "Edit and send")),
    h("div", { class: "messages" },
      message(exchange, "Request", request),
      message(exchange, "Response", response, h("span", { class: `status ${statusKind(exchange.status)}` }, String(exchange.status)))));
}

function message({ requestId }, title, { headers, body, bytes, omitted }, status) {
  const why = { binary: "it is not text", large: "it is larger than 512 KiB" }[omitted];
  return h("div", { class: "message" },
    h("h4", {}, title, " ", status),
    h("details", { "data-key": `${title} ${requestId}` },
      h("summary", {}, plural((headers ?? []).length, "header")),
      h("dl", { class: "facts" }, (headers ?? []).map((it) => h("div", {}, h("dt", {}, it.name),
        h("dd", {}, it.masked ? h("span", { class: "muted" }, "hidden") : it.value))))),
    omitted && h("p", { class: "muted" }, `The body of ${plural(bytes, "byte")} is not kept: ${why}.`),
    !omitted && bytes === 0 && h("p", { class: "muted" }, "No body"),
    body && h("pre", { tabindex: 0, "aria-label": `Body of the ${title.toLowerCase()}` }, indent(body)));
}

const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;

// Headers that curl or the signature sets, that describe a browser, or that would add the request to the same trace.
const notCopied = /^(host|accept-encoding|connection|content-length|user-agent|origin|referer|priority|x-amzn-trace-id|x-forwarded-.*|x-amz-(date|content-sha256)|sec-.*|expect|transfer-encoding|cache-control|pragma|upgrade-insecure-requests)$/i;

// curl returns a shell command that sends the request again, or "" if its body is not kept. Secrets are variables of the shell.
function curl({ method, address, request }) {
  if (request.omitted) return "";
  const [path, query] = address.split(/\?(.*)/s);
  const parameters = (query ?? "").split("&").filter((it) => it && !/^x-amz-/i.test(it)); // of a presigned URL
  const url = location.origin + path + (parameters.length > 0 ? `?${parameters.join("&")}` : "");
  const words = ["curl"];
  if (method === "HEAD") words.push("--head");
  else if (method !== "GET") words.push("-X", method);
  words.push(quote(url));
  if (/[[\]{}]/.test(url)) words.push("--globoff");
  if (/\/\.\.?(\/|$|\?)/.test(url)) words.push("--path-as-is");
  if (document.body.dataset.authorize) words.push(document.body.dataset.authorize);
  for (const { name, value, masked } of request.headers ?? []) {
    if (!masked && !notCopied.test(name) && !(name === "Accept" && value === "*/*")) words.push("-H", quote(value === "" ? `${name};` : `${name}: ${value}`)); // "name:" would remove it
  }
  if (request.body) {
    if (!request.headers.some((it) => it.name === "Content-Type")) words.push("-H", "'Content-Type:'"); // curl would add one
    words.push("--data-raw", quote(request.body));
  }
  return words.join(" ");
}
