// indentJSON returns JSON with indented lines, with every name, string and number as received: JavaScript rounds
// numbers to doubles, and reorders names that look like integers. Text that is not JSON is returned unchanged. It is
// global, because this file is a classic script of the reference, which also works from the disk, and a module of the
// other pages.
globalThis.indentJSON = (text) => {
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
};
