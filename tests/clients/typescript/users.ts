// A client in TypeScript: schema.d.ts is generated from the API document by openapi-typescript.
import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type User = components["schemas"]["User"];
type Problem = components["schemas"]["Problem"] | components["schemas"]["GatewayMessage"];

const example: components["schemas"]["UserInput"] = JSON.parse(process.argv[3]!); // with all required attributes
const client = createClient<paths>({ baseUrl: process.argv[2]! });

function fail(operation: string, response: Response, problem: Problem | undefined): never {
  throw new Error(`${operation}: ${response.status} ${JSON.stringify(problem)}`);
}

async function create(name: string, key: string): Promise<User> {
  const { data, error, response } = await client.POST("/users", {
    params: { header: { "Idempotency-Key": key } },
    body: { ...example, name, tags: { $SS: ["analyst", "poet"] } },
  });
  if (!data) fail("create", response, error);
  return data;
}

async function* list(limit: number): AsyncGenerator<User> {
  let cursor: string | undefined;
  do {
    const { data, error, response } = await client.GET("/users", {
      params: { query: { limit, ...(cursor === undefined ? {} : { cursor }) } },
    });
    if (!data) fail("list", response, error);
    const page = data as components["schemas"]["UserPage"]; // without userId in the query, the response is a page
    yield* page.items;
    cursor = page.next;
  } while (cursor !== undefined);
}

const ada = await create("Ada Byron", "key-of-ada");
const again = await create("Ada Byron", "key-of-ada");
console.log("created once:", ada.userId === again.userId);
await create("Grace Hopper", "key-of-grace");
await create("Katherine Johnson", "key-of-katherine");

const path = { userId: ada.userId };
const read = await client.GET("/users/{userId}", { params: { path } });
if (!read.data) fail("read", read.response, read.error);
console.log("read:", read.data.name);

const etag = read.response.headers.get("ETag")!;
const replaced = await client.PUT("/users/{userId}", {
  params: { path, header: { "If-Match": etag } },
  body: { ...read.data, name: "Ada Lovelace" },
});
if (!replaced.data) fail("replace", replaced.response, replaced.error);
console.log("replaced:", replaced.data.name);

const lost = await client.PUT("/users/{userId}", {
  params: { path, header: { "If-Match": etag } },
  body: { ...example, name: "Ada King" },
});
if (lost.error && "code" in lost.error) {
  console.log("refused:", lost.response.status, lost.error.code);
}

const names: string[] = [];
for await (const user of list(2)) {
  names.push(user.name ?? "");
  const { error, response } = await client.DELETE("/users/{userId}", { params: { path: { userId: user.userId } } });
  if (error) fail("delete", response, error);
}
console.log("deleted:", names.sort().join(", "));
