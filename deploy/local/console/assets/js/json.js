// JSON without loss of precision: JSON.parse rounds numbers to doubles.

// parse parses JSON. A number that JavaScript cannot represent becomes a JSON.rawJSON object, which JSON.stringify writes
// unchanged. Browsers without JSON.rawJSON (before 2025) round it.
export const parse = (text) => JSON.parse(text, (_, value, context) =>
  typeof value === "number" && JSON.rawJSON && String(value) !== context.source ? JSON.rawJSON(context.source) : value);

// format returns a string unchanged, and any other parsed value as JSON.
export const format = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// indent returns JSON with indented lines, with every name, string and number as received. Text that is not JSON is returned
// unchanged.
export function indent(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return tokens.map((token, i) => {
    if ("{[".includes(token)) return "}]".includes(tokens[i + 1]) ? token : (depth++, token + line());
    if ("}]".includes(token)) return "{[".includes(tokens[i - 1]) ? token : (depth--, line() + token);
    return token === "," ? token + line() : token === ":" ? ": " : token;
  }).join("");
}

// number converts a parsed number to a JavaScript number.
export const number = (value) => Number(value?.rawJSON ?? value);

// isObject reports whether a parsed value is an object, which a number and an array are not.
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !JSON.isRawJSON?.(value);
