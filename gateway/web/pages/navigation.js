// The list of methods: by service, found by any word of theirs.
import { h } from "./dom.js";

/** Draws the list into its place; gives what marks the method that is shown. */
export function navigation(whole, methods) {
  const nav = document.getElementById("navigation");
  const list = document.getElementById("methods");
  const find = document.getElementById("find");
  const button = document.querySelector(".menu");
  let current = "";

  const open = (wanted) => {
    nav.classList.toggle("open", wanted);
    button.setAttribute("aria-expanded", String(wanted));
  };
  const draw = () => {
    const asked = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = methods.filter((each) => asked.every((word) => text(each).includes(word)));
    list.replaceChildren(...whole.tags.flatMap((tag) => group(tag, fits, current)));
    if (!fits.length) list.append(h("p", { class: "none" }, "No method has these words."));
    return fits;
  };
  find.addEventListener("input", draw);
  find.addEventListener("keydown", (event) => {
    const [first] = draw();
    if (event.key === "Enter" && first) location.hash = first.operationId;
    if (event.key === "Escape") { find.value = ""; draw(); }
  });
  button.addEventListener("click", () => open(!nav.classList.contains("open")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    open(true);
    find.focus();
  });
  draw();
  return (id) => { current = id; open(false); draw(); };
}

function text(method) {
  return `${method.operationId} ${method.verb} ${method.path} ${method.description} ${method.tags}`.toLowerCase();
}

function group(tag, methods, current) {
  const own = methods.filter((each) => each.tags.includes(tag.name));
  if (!own.length) return [];
  return [h("h2", {}, tag.name), h("ul", {}, own.map((each) => entry(each, current)))];
}

function entry(method, current) {
  return h("li", {}, h("a", {
    href: `#${method.operationId}`, "aria-current": method.operationId === current ? "page" : false,
  }, h("span", { class: `verb ${method.verb.toLowerCase()}` }, method.verb), method.operationId));
}
