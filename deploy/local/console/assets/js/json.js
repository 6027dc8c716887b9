// JSON without loss: JavaScript would round numbers to doubles.

// parse parses JSON. A number that JavaScript would write differently is kept as the object that JSON.rawJSON returns, which
// JSON.stringify writes as it was. Browsers older than 2025 do not have it, and round.
export const parse = (text) => JSON.parse(text, (_, value, context) =>
  typeof value === "number" && JSON.rawJSON && String(value) !== context.source ? JSON.rawJSON(context.source) : value);

// number returns a parsed number as a number of JavaScript.
export const number = (value) => Number(value?.rawJSON ?? value);

// isObject reports whether a parsed value is an object, which a number and an array are not.
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !JSON.isRawJSON?.(value);
