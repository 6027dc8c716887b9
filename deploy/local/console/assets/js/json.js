// JSON without loss of precision: JSON.parse rounds numbers to doubles.
import "./indent.js";

// parse parses JSON. A number that JavaScript cannot represent becomes a JSON.rawJSON object, which JSON.stringify writes
// unchanged. Browsers without JSON.rawJSON (before 2025) round it.
export const parse = (text) => JSON.parse(text, (_, value, context) =>
  typeof value === "number" && JSON.rawJSON && String(value) !== context.source ? JSON.rawJSON(context.source) : value);

// format returns a string unchanged, and any other parsed value as JSON.
export const format = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// indent indents JSON (see indent.js).
export const indent = globalThis.indentJSON;

// number converts a parsed number to a JavaScript number.
export const number = (value) => Number(value?.rawJSON ?? value);

// isObject reports whether a parsed value is an object, which a number and an array are not.
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !JSON.isRawJSON?.(value);
