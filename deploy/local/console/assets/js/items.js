// The items of a collection, read and written through the API.
import { $, copyButton, h } from "./dom.js";
import { refusal } from "./exchange.js";
import { plural, statusKind } from "./format.js";
import { format, indent, isObject, parse } from "./json.js";
import { ask, closeDetails, keys, moveFocus } from "./page.js";

const { path, item: itemPath, key, list: listed, replace: replaceable, delete: deletable } = $("main").dataset;
const collection = document.querySelector("h1").textContent;
const title = document.title;

// Targets of the pages of the list up to the current one, which are also the state of the entry in the history.
let visited;
let next; // target of the next page
let opened; // { id, etag, text } of the open item: text as received, indented

// send sends a request to a target, a path and query below the stage. The server adds the authorization.
async function send(method, target, headers = {}, body = undefined) {
  const response = await fetch(`/_local/stage${target}`, {
    method, body, cache: "no-store", headers: { Accept: "application/json", "X-Requested-With": "console", ...headers },
  });
  const text = await response.text();
  let value;
  try {
    value = parse(text);
  } catch { /* not JSON */ }
  return {
    status: response.status, ok: response.ok, text, value, sent: body, etag: response.headers.get("ETag"),
    link: response.headers.get("Link"), requestId: response.headers.get("x-amzn-RequestId"),
  };
}

const targetOf = (id) => itemPath.replace(`{${key}}`, encodeURIComponent(id));

// nextOf returns the target of the next page (RFC 8288), or undefined.
function nextOf({ link }) {
  const [, reference] = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? "") ?? [];
  if (reference === undefined) return undefined;
  const stage = `/${document.body.dataset.stage}`;
  const { pathname, search } = new URL(reference, location.origin + stage + path);
  return (pathname.startsWith(`${stage}/`) ? pathname.slice(stage.length) : pathname) + search;
}

const say = (...content) => $("message").replaceChildren(...content.flat());

// trace returns a link to the trace of a response, in another tab: this one may have unsaved changes.
const trace = ({ requestId }) =>
  requestId && h("a", { class: "button", target: "_blank", href: `/_local/requests/${encodeURIComponent(requestId)}` }, "Trace");

// failure describes a response that is not a success.
function failure(response, ...more) {
  const { status, value, text, sent } = response;
  const exchange = { status, request: { body: sent ?? "" }, response: { body: text } };
  return h("div", { class: `verdict ${statusKind(status)}` },
    h("span", { class: `status ${statusKind(status)}` }, String(status)), " ",
    h("strong", {}, (isObject(value) && (value.code ?? value.title)) || "The request failed"), " ", trace(response),
    refusal(exchange), more);
}

async function showList() {
  const response = await send("GET", visited.at(-1));
  if (idOf(location)) return;
  next = nextOf(response);
  $("previous").disabled = visited.length === 1;
  $("next").disabled = !next;
  $("paging").hidden = visited.length === 1 && !next;
  if (!response.ok) {
    $("items").replaceChildren();
    return say(failure(response));
  }
  const { value } = response;
  const items = (Array.isArray(value) ? value : Object.values(value ?? {}).find(Array.isArray) ?? []).filter(isObject);
  const page = visited.length > 1 || next ? `, page ${visited.length}` : "";
  $("count").textContent = plural(items.length, "item") + page;
  const columns = [key, ...frequent(items)];
  $("columns").replaceChildren(...columns.map((name) => h("th", { scope: "col" }, name)));
  $("items").replaceChildren(...items.map((it) => h("tr", {}, columns.map((name, n) => (n === 0
    ? h("th", { scope: "row" }, it[key] === undefined ? "–" : h("a", { href: `#${encodeURIComponent(format(it[key]))}` }, format(it[key])))
    : h("td", { "data-label": it[name] === undefined ? undefined : name }, it[name] === undefined ? "" : short(format(it[name]))))))));
  if (items.length === 0) $("items").append(h("tr", {}, h("td", { class: "muted" }, next ? "This page has no items. The next one may have some." : "No items yet")));
}

const short = (text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

// frequent returns the four names that most items have, in the order of their first occurrence.
function frequent(items) {
  const counts = new Map();
  for (const it of items) {
    for (const [name, value] of Object.entries(it)) {
      if (name !== key && !isObject(value) && !Array.isArray(value)) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, 4).map(([name]) => name);
  return [...counts.keys()].filter((name) => most.includes(name));
}

// showItem shows an item, or why it cannot be read.
async function showItem(id) {
  const response = await send("GET", targetOf(id));
  if (idOf(location) !== id) return;
  if (!response.ok) {
    opened = { id, missing: true };
    $("item").replaceChildren(head(id), failure(response));
    return;
  }
  edit(id, response);
}

const head = (id, ...more) => h("header", { class: "trace-head" },
  h("p", {}, h("a", {
    href: location.pathname, class: "up", onclick: (event) => { event.preventDefault(); run(leave); },
  }, `← ${collection}`)),
  h("h2", { id: "item-title" }, id), more);

// edit shows the form of an item with the content of a response.
function edit(id, response) {
  opened = { id, etag: response.etag, text: indent(response.text) };
  const text = h("textarea", { id: "text", spellcheck: "false", "aria-label": "JSON", readonly: replaceable === undefined });
  text.value = opened.text;
  text.rows = Math.min(30, opened.text.split("\n").length + 1);
  $("item").replaceChildren(
    head(id, h("dl", { class: "facts inline" }, opened.etag && h("div", {}, h("dt", {}, "ETag"), h("dd", {}, h("code", {}, opened.etag))))),
    text,
    h("p", { class: "actions" },
      replaceable !== undefined
        && h("button", { type: "button", class: "button primary", onclick: () => run(save) }, "Save"),
      deletable !== undefined
        && h("button", { type: "button", class: "button danger", onclick: () => run(remove) }, "Delete"),
      copyButton(opened.text, "Copy the item", "Copy JSON"), trace(response)));
}

// condition makes a write fail if the item has changed since it was read.
const condition = () => (opened.etag ? { "If-Match": opened.etag } : {});

async function save() {
  const response = await send("PUT", targetOf(opened.id), { "Content-Type": "application/json", ...condition() }, $("text").value);
  if (response.status === 412) return conflict(response, "Save mine", save);
  if (!response.ok) return say(failure(response));
  edit(opened.id, response.value === undefined ? { ...response, text: $("text").value } : response);
  say(h("p", { class: "verdict ok" }, "Saved. ", trace(response)));
  $("item").querySelector("button").focus();
}

async function remove(confirmed = false) {
  const { id } = opened;
  if (!confirmed && !await ask(`Delete ${id}?`, "Delete")) return;
  const response = await send("DELETE", targetOf(id), condition());
  if (response.status === 412) return conflict(response, "Delete it", () => remove(true));
  if (!response.ok) return say(failure(response));
  $("text").value = opened.text; // nothing to discard
  const after = following(id);
  await leave();
  (links().find((it) => it.textContent === after) ?? links().at(-1) ?? $("search")).focus();
  say(h("p", { class: "verdict ok" }, `Deleted ${id}. `, trace(response)));
}

// following returns the id of the item after another one in the list, if the list is loaded.
const following = (id) => links()[links().findIndex((it) => it.textContent === id) + 1]?.textContent;

// conflict shows the current state of an item that has changed since it was read: nothing was written. retry repeats
// the write, with the current ETag.
async function conflict(refused, label, retry) {
  const current = await send("GET", targetOf(opened.id));
  if (!current.ok) return say(failure(refused, h("p", {}, "Nothing was written. The item cannot be read any more:")), failure(current));
  const clearThen = (action) => () => {
    say();
    run(async () => action());
  };
  say(failure(refused,
    h("p", {}, "Nothing was written: the item has changed since you opened it. It is now:"),
    h("pre", { tabindex: 0, class: "current" }, indent(current.text)),
    h("p", { class: "actions" },
      h("button", {
        type: "button", class: "button", onclick: clearThen(() => {
          edit(opened.id, current);
          $("text").focus();
        }),
      }, "Show this version"),
      h("button", {
        type: "button", class: "button danger", onclick: clearThen(() => {
          opened.etag = current.etag;
          return retry();
        }),
      }, `${label} instead`))));
  $("message").querySelector("button").focus();
}

const changed = () => $("text") && opened?.text !== undefined && $("text").value !== opened.text;

// mayDiscard reports whether there are no changes, or the user discards them.
const mayDiscard = async () => !changed() || ask("Discard your changes?", "Discard");

// follow shows what the URL says, which the user has changed, such as with the button Back.
async function follow() {
  const { id } = opened ?? {};
  if (id !== undefined && idOf(location) !== id && !await mayDiscard()) return history.pushState(null, "", `#${encodeURIComponent(id)}`);
  await show();
}

// leave returns to the list.
async function leave() {
  if (!await mayDiscard()) return;
  const { id } = opened;
  opened = undefined;
  history.pushState({ visited }, "", location.pathname);
  await show(id);
}

// turn shows another page of the list.
async function turn(pages) {
  history.pushState({ visited: pages }, "", location.pathname);
  await show();
  (links()[0] ?? $("reload")).focus();
}

function idOf({ hash }) {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return hash.slice(1); // invalid UTF-8: no such item
  }
}

// show shows the item in the URL, or the list. before is the id of the item that was open.
async function show(before = opened?.id) {
  const id = idOf(location);
  say();
  document.title = id ? `${id} · ${title}` : title;
  for (const element of [$("list"), $("find"), $("paging")]) element.hidden = id !== "" || (element !== $("find") && listed === undefined);
  $("item").hidden = id === "";
  $("count").textContent = "";
  if (id) {
    await showItem(id);
    ($("text") ?? $("item").querySelector("a")).focus({ preventScroll: true });
    return;
  }
  opened = undefined;
  $("item").replaceChildren();
  visited = history.state?.visited ?? [path];
  if (listed === undefined) return;
  await showList();
  if (before) links().find((it) => it.textContent === before)?.focus();
}

// run runs an action, and shows an error if the stack does not respond.
const run = (action) => action().catch((err) => say(h("p", { class: "verdict fault" },
  "The stack does not respond. Start it with ", h("code", {}, "go tool mage run"),
  `, and try again. (${err.message})`)));

const links = () => [...$("items").querySelectorAll("a")];
const move = (n) => () => moveFocus(links(), n);

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = new FormData(event.target).get("id").trim();
  if (id) location.hash = encodeURIComponent(id);
});
$("reload").addEventListener("click", () => run(async () => { if (await mayDiscard()) await show(); }));
$("next").addEventListener("click", () => {
  $("next").disabled = true; // until the page is shown
  run(() => turn([...visited, next]));
});
$("previous").addEventListener("click", () => run(() => turn(visited.slice(0, -1))));
window.addEventListener("hashchange", () => run(follow));
window.addEventListener("popstate", () => {
  if (!idOf(location) && !opened) run(show); // another page of the list
});
window.addEventListener("beforeunload", (event) => { if (changed()) event.preventDefault(); });
keys({ j: move(1), k: move(-1), Escape: () => closeDetails() || (opened && run(leave)) });
run(show);
