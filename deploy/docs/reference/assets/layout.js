// The layout of Swagger UI on this page: operations first, each with code samples and its failures folded, and the text of
// the document behind them.
"use strict";
const layout = (page) => {
  const { description, ...info } = page.document.info;
  page.document.info = info;
  const failed = /^[45]|default/;
  let language = "curl"; // of the samples, chosen last

  return ({ React }) => {
    const h = React.createElement;

    const OperationsFirst = ({ getComponent }) => h("div", { className: "reference" },
      h(getComponent("BaseLayout", true)),
      description && h("section", { className: "guide swagger-ui", id: "guide", tabIndex: -1, "aria-label": "Guide" },
        h(getComponent("Markdown", true), { source: description })));

    // Samples shows the code of a request, in the language that was chosen last.
    const Samples = ({ list, getComponent }) => {
      const [label, choose] = React.useState(language);
      const chosen = list.find((it) => it.label === label) ?? list[0];
      return h("div", { className: "samples" },
        h("div", { className: "opblock-section-header" }, h("h4", null, "Code"),
          h("div", { className: "languages", role: "group", "aria-label": "Language" }, list.map((it) => h("button", {
            key: it.label, type: "button", className: "btn", "aria-pressed": it === chosen, onClick: () => {
              language = it.label;
              choose(language);
            },
          }, it.label)))),
        h("div", { className: "sample" }, h(getComponent("HighlightCode", true), { language: chosen.language, canCopy: true }, chosen.code)));
    };

    return {
      components: { OperationsFirst },
      wrapComponents: {
        InfoContainer: () => () => null, // the page has a head of its own
        responses: (Responses) => (props) => {
          const list = page.samples?.[`${props.method.toUpperCase()} ${props.path}`];
          return h("div", null, list && h(Samples, { list, getComponent: props.getComponent }), h(Responses, props));
        },
        response: (Response) => (props) => {
          const [open, toggle] = React.useState(!failed.test(props.code));
          if (open) return h(Response, props);
          const text = props.response.get("description") ?? "";
          return h("tr", { className: "response folded", "data-code": props.code },
            h("td", { className: "response-col_status" }, props.code),
            h("td", { className: "response-col_description", colSpan: 2 },
              h("button", { type: "button", className: "unfold", "aria-expanded": false, onClick: () => toggle(true) },
                text.split("\n", 1)[0].replaceAll("`", "") || "Details")));
        },
      },
    };
  };
};
