// The criteria of the filter without a control of their own: the time range, and what the charts select.
import { $, h } from "./dom.js";
import { duration } from "./format.js";

// criteria connects the time range picker of a form with its hidden fields, and shows the other hidden fields as chips.
// changed is called when a chip is removed. The result updates the picker and the chips.
export function criteria(form, changed) {
  const picker = $("range"), custom = $("custom-range");
  if (!picker) return () => {};
  const { since, until } = form.elements;
  const hidden = [...form.querySelectorAll("input[type=hidden]")];
  let choosing = false; // the user has chosen a custom range

  const read = () => {
    since.value = $("from").value && new Date($("from").value).toISOString();
    until.value = $("to").value && new Date($("to").value).toISOString();
  };
  // The events of these controls bubble to the form, which then reads the hidden fields.
  picker.addEventListener("input", () => {
    choosing = picker.value === "custom";
    if (choosing) {
      $("from").value ||= local(Date.now() - 3_600_000);
      read();
    } else {
      since.value = picker.value;
      until.value = "";
    }
  });
  custom.addEventListener("input", read);
  form.addEventListener("reset", () => {
    choosing = false;
    hidden.forEach((it) => { it.value = ""; });
  });
  return () => {
    const preset = until.value === "" && [...picker.options].some((it) => it.value === since.value);
    picker.value = preset && !choosing ? since.value : "custom";
    custom.hidden = picker.value !== "custom";
    if (!custom.hidden && !custom.contains(document.activeElement)) {
      $("from").value = since.value && local(since.value);
      $("to").value = until.value && local(until.value);
    }
    const { max, code, version } = form.elements;
    $("criteria").replaceChildren(...[
      [max, () => `< ${duration(Math.round(1000 * parseFloat(max.value)) / 1000)}`],
      [code, () => code.value],
      [version, () => `version ${version.value}`],
    ].filter(([field]) => field.value !== "").map(([field, label]) => h("button", {
      type: "button", class: "button", "aria-label": `Remove the filter ${label()}`, onclick: () => {
        field.value = "";
        changed();
      },
    }, label(), " ×")));
  };
}

// local formats a time for an input of the type datetime-local, which has no time zone.
function local(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : new Date(date.getTime() - 60_000 * date.getTimezoneOffset()).toISOString().slice(0, 23);
}
