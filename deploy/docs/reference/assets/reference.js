// Starts Swagger UI with the data of the page, the element with the id "page", after the first paint. The list of
// operations in the page, #outline, is visible until Swagger UI, in #ui, has rendered its own.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const servers = (page.document.servers ?? []).map((it) => it.url);
  const server = servers[0];

  // resolve resolves a reference within the document, which is a JSON Pointer (RFC 6901) in a URL fragment.
  const unescapeName = (name) => decodeURIComponent(name).replaceAll("~1", "/").replaceAll("~0", "~");
  const resolve = (it) => (it?.$ref ? it.$ref.slice(2).split("/").map(unescapeName).reduce((at, name) => at[name], page.document) : it);

  // moveExample moves the example of an optional parameter to its description, because Swagger UI would send it in
  // each request, such as the If-Match of another user.
  const moveExample = (parameter) => {
    const { example, ...rest } = resolve(parameter);
    if (rest.required || example === undefined) return parameter;
    const { example: _, ...schema } = resolve(rest.schema) ?? {}; // a parameter with content has no schema
    const description = [rest.description, `For example \`${example}\`.`].filter(Boolean).join(" ");
    return { ...rest, ...(rest.schema && { schema }), description };
  };
  // Copy the parameters of a path to its operations, because Swagger UI drops those with the same name as a parameter of
  // the operation.
  for (const path of Object.values(page.document.paths)) {
    for (const it of Object.values(path)) {
      if (it.responses) it.parameters = [...(path.parameters ?? []), ...(it.parameters ?? [])].map(moveExample);
    }
    delete path.parameters;
  }

  // forward redirects a request for the stage to the proxy of this page, with the header that the proxy requires.
  const forward = (request) => {
    if (page.proxy && request.url.startsWith(server)) {
      request.url = new URL(page.proxy + request.url.slice(server.length), location.href).href;
      request.headers["X-Requested-With"] = "reference";
    }
    return request;
  };

  // hideLogin replaces the login by the options that curl needs, because the proxy authorizes requests.
  const hideLogin = () => ({
    wrapComponents: {
      authorizeBtn: () => () => null,
      authorizeOperationBtn: () => () => null,
      curl: (Curl, { React, Im }) => (props) =>
        React.createElement(Curl, { ...props, request: props.request.set("curlOptions", Im.List([page.curl])) }),
    },
  });

  // exactBody replaces Swagger UI's view of JSON response bodies, which rounds numbers, also in copies and downloads.
  const exactBody = () => ({
    wrapComponents: {
      responseBody: (ResponseBody, { React }) => (props) => {
        const { content, contentType, getComponent } = props;
        if (typeof content !== "string" || !/json/i.test(contentType)) return React.createElement(ResponseBody, props);
        const code = { language: "json", downloadable: true, fileName: "response.json", canCopy: true };
        return React.createElement("div", null,
          React.createElement("h5", null, "Response body"),
          React.createElement(getComponent("HighlightCode", true), code, indentJSON(content)));
      },
    },
  });

  // traceLink adds a link to the trace of the request to a response.
  const traceLink = () => ({
    wrapComponents: {
      liveResponse: (LiveResponse, { React }) => (props) => {
        const id = page.traceURL && props.response?.getIn(["headers", "x-amzn-requestid"]);
        return React.createElement("div", null,
          id && React.createElement("p", { className: "trace" },
            React.createElement("a", { href: page.traceURL + encodeURIComponent(id) }, "Trace of this request")),
          React.createElement(LiveResponse, props));
      },
    },
  });

  // fillIn opens the form of the operation that served the request in the query, with the values of the request. Values
  // that the server does not show, such as credentials, stay as they are.
  const fillIn = async (ui) => {
    const id = new URLSearchParams(location.search).get("request");
    if (!id || !page.requestURL) return;
    const response = await fetch(page.requestURL + encodeURIComponent(id));
    if (!response.ok) return;
    const { method, address, route, request } = await response.json();
    const key = method.toLowerCase();
    const operation = page.document.paths[route]?.[key];
    if (!operation) return;
    const [path, query] = address.slice(new URL(server, location.href).pathname.length).split(/\?(.*)/s);
    const segments = path.split("/"), sent = new URLSearchParams(query);
    const valueOf = {
      path: (name) => decodeURIComponent(segments[route.split("/").indexOf(`{${name}}`)] ?? ""),
      query: (name) => sent.get(name),
      header: (name) => request.headers.find((it) => !it.masked && it.name.toLowerCase() === name.toLowerCase())?.value,
    };
    for (const { name, in: place } of operation.parameters.map(resolve)) {
      const value = valueOf[place]?.(name);
      if (value) ui.specActions.changeParam([route, key], name, place, value, false);
    }
    ui.layoutActions.show(["operations", operation.tags?.[0] ?? "default", operation.operationId], true);
    const form = await rendered(`[id$="-${operation.operationId}"] ${request.body ? "textarea" : ".parameters-container"}`);
    if (!form) return;
    if (request.body) ui.oas3Actions.setRequestBodyValue({ value: request.body, pathMethod: [route, key] }); // a form begins with an example
    form.closest(".opblock").scrollIntoView();
  };

  // rendered returns an element of the page as soon as it exists, or undefined after a few seconds.
  const rendered = async (selector) => {
    for (let frames = 0; frames < 300; frames++) {
      const found = root.querySelector(selector);
      if (found) return found;
      await new Promise(requestAnimationFrame);
    }
    return undefined;
  };

  const root = document.getElementById("ui"), outline = document.getElementById("outline");

  // show replaces the outline as soon as Swagger UI has rendered the operations. The focus stays on the same operation.
  const show = () => {
    if (!root.hidden || !root.firstChild) return;
    if (root.querySelectorAll(".opblock").length < outline.querySelectorAll(".opblock").length) return;
    const focused = outline.contains(document.activeElement) && document.activeElement.getAttribute("href");
    outline.remove();
    root.hidden = false;
    if (!focused) return;
    root.querySelector(`a[href="${CSS.escape(focused)}"]`)?.closest("button")?.focus({ preventScroll: true });
  };

  new MutationObserver(() => {
    show();
    // Swagger UI puts a link with the same effect into the button of an operation: a second stop of the Tab key.
    for (const it of root.querySelectorAll("button a:not([tabindex])")) it.tabIndex = -1;
    // Swagger UI does not name some controls for screen readers.
    for (const it of root.querySelectorAll(":is(input, select, textarea):not([aria-label])")) {
      const name = it.closest("[data-param-name]")?.dataset.paramName
        ?? (it.matches(".body-param__text") ? "Request body" : it.placeholder);
      if (name && !it.labels.length) it.setAttribute("aria-label", name);
    }
    // Swagger UI gives the label of the media type the id of its select.
    for (const it of root.querySelectorAll("label[id]:has(select[id])")) it.removeAttribute("id");
    const names = { ".copy-to-clipboard button": "Copy", "#servers": "Server", ".examples-select-element": "Example" };
    for (const [selector, name] of Object.entries(names)) {
      for (const it of root.querySelectorAll(`${selector}:not([aria-label])`)) it.setAttribute("aria-label", name);
    }
  }).observe(root, { childList: true, subtree: true });

  const operations = () => [...document.querySelectorAll("#reference .opblock-summary-control")];
  const close = () => {
    const control = document.activeElement.closest(".opblock.is-open")?.querySelector(".opblock-summary-control");
    control?.click();
    control?.focus();
  };
  bindKeys({ j: () => moveFocus(operations(), 1), k: () => moveFocus(operations(), -1), Escape: close });

  const start = () => {
    const ui = SwaggerUIBundle({
      spec: page.document,
      dom_id: "#ui",
      plugins: [layout(page), exactBody, traceLink, ...(page.curl ? [hideLogin] : [])],
      layout: "OperationsFirst",
      deepLinking: true,
      displayRequestDuration: true,
      syntaxHighlight: { theme: "tomorrow-night" },
      tryItOutEnabled: true,
      showMutatedRequest: !page.proxy, // the curl command goes to the stage, not to the proxy
      requestInterceptor: forward,
      validatorUrl: null,
      onComplete: () => {
        for (const [scheme, value] of Object.entries(page.credentials ?? {})) ui.preauthorizeApiKey(scheme, value);
        fillIn(ui).catch(console.error);
      },
    });
  };

  // load adds a script or a style sheet to the page, before the style sheets of the page, which override it.
  const load = (element, attributes) => new Promise((resolve, reject) => {
    const it = Object.assign(document.createElement(element), attributes);
    it.addEventListener("load", resolve);
    it.addEventListener("error", reject);
    document.querySelector("link[rel=stylesheet]").before(it);
  });

  // As elements of the HTML, these files would delay the first paint.
  requestAnimationFrame(() => setTimeout(() => Promise.all([
    load("link", { rel: "stylesheet", href: "assets/swagger-ui.css" }),
    load("script", { src: "assets/swagger-ui-bundle.js" }),
  ]).then(start, () => {
    const note = Object.assign(document.createElement("p"), { className: "note", role: "alert" });
    note.textContent =
      "The forms cannot be loaded: check that the server of this page is running, and reload the page.";
    document.getElementById("reference").before(note);
  })));
})();
