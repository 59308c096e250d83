// Elements from values. Nothing is ever read as HTML, so that no document can bring a script.

/** An element; `on…` entries listen, `false` and `null` are left out, `true` is an empty attribute. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((each) => each != null && each !== false));
  return element;
}

const PIECES = /`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)/g;

/** The little of Markdown that the contract's comments use: code, links, paragraphs. */
export function words(text) {
  return (text || "").split("\n\n").filter(Boolean).map((paragraph) => h("p", {}, inline(paragraph)));
}

export function inline(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(PIECES)) {
    found.push(text.slice(at, match.index));
    found.push(match[1] ? h("code", {}, match[1]) : link(match[2], match[3]));
    at = match.index + match[0].length;
  }
  return [...found, text.slice(at)];
}

function link(text, target) {
  // Only to this edge: a comment is no place for scripts and strangers.
  return /^\/[^/]/.test(target) ? h("a", { href: target }, text) : text;
}

/** Code with a button that copies it. */
export function sample(text) {
  const copy = h("button", { type: "button", class: "copy", onclick: async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return h("div", { class: "sample" }, h("pre", { tabindex: "0" }, h("code", {}, text)), copy);
}
