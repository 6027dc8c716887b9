// Keeps diagrams legible on small screens. The theme draws them in a closed shadow root, which style sheets do not reach.
"use strict";

const { render } = mermaid;
mermaid.render = async (...args) => {
  const { svg, ...rest } = await render(...args);
  return { svg: svg.replace("max-width:", "min-width: 640px; max-width:"), ...rest };
};
