// The page: loads the document, then shows what the address names.
import { h, sample, words } from "./dom.js";
import { load } from "./document.js";
import { methodOf } from "./method.js";
import { navigation } from "./navigation.js";
import { corner } from "./session.js";

const GIVEN = [
  ["openapi.json", "OpenAPI 3.1", "The REST side, for tools and generators."],
  ["palestra-protos.zip", ".proto files", "With all that they import, and a command for each language."],
  ["palestra-protos.tar.gz", ".proto files, .tar.gz", "The same."],
  ["palestra.binpb", "Descriptor set", "For grpcurl and everything dynamic."],
];

const main = document.getElementById("main");

function home(whole, methods) {
  return h("article", {},
    h("h1", {}, "Palestra, by REST and gRPC"),
    words(whole.info.description),
    h("h2", {}, "To take along"),
    h("ul", { class: "given" }, GIVEN.map(([file, title, said]) => (
      h("li", {}, h("a", { href: `/docs/${file}` }, title), h("small", {}, said))
    ))),
    h("h2", {}, "The first call"),
    sample([
      `URL=${location.origin}`,
      "curl -s $URL/v1/auth:register -d '{\"email\":\"vera@example.com\",\"password\":\"correct horse battery\",\"displayName\":\"Vera\"}'",
      "TOKEN=…   # accessToken of the answer",
      'curl -s -H "Authorization: Bearer $TOKEN" $URL/v1/users/me',
    ].join("\n")),
    whole.tags.map((tag) => [
      h("h2", {}, tag.name), words(tag.description),
      h("dl", { class: "fields" }, methods.filter((each) => each.tags.includes(tag.name)).map((each) => h("div", {},
        h("dt", {}, h("span", { class: `verb ${each.verb.toLowerCase()}` }, each.verb), h("a", { href: `#${each.operationId}` }, each.operationId), h("span", { class: "kind" }, each.path)),
        h("dd", {}, words(each.summary))))),
    ]));
}

async function begin() {
  corner(document.getElementById("who"));
  const { whole, methods } = await load();
  const mark = navigation(whole, methods);
  const show = (moved) => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id === "main") return;
    const method = methods.find((each) => each.operationId === id);
    main.replaceChildren(method ? methodOf(method) : home(whole, methods));
    mark(method ? id : "");
    document.title = method ? `${id} · Palestra API` : "Palestra API";
    if (moved) {
      window.scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
  };
  window.addEventListener("hashchange", () => show(true));
  show(false);
}

begin().catch((error) => main.replaceChildren(h("p", { class: "old", role: "alert" }, `This page could not be drawn: ${error.message}`)));
