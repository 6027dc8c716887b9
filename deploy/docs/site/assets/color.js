// Tells colours of site.css, for the scheme that the reader prefers, as numbers: scripts reckon with them.
"use strict";

function color(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
