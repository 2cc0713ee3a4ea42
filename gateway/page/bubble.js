// One message on the screen.

import { element, icon } from "./dom.js";
import { dateAndTime, dayName, timeOfDay } from "./text.js";

const MARKS = { sending: "Sending", sent: "Sent", failed: "Not sent" };

/** The line of a new day. */
export function dayMark({ day }) {
  return element("li", { className: "day" }, element("span", {}, dayName(day)));
}

/**
 * A message. `actions` are `{retry(item), toggle(item), edit(item), remove(item)}`.
 */
export function bubble(item, actions) {
  const classes = ["message", item.mine && "mine", item.first && "first", item.deleted && "deleted"];
  const data = { testid: "message", state: item.state };
  if (item.seq !== undefined) data.seq = item.seq;
  return element(
    "li",
    { className: classes.filter(Boolean).join(" "), data },
    item.named && element("span", { className: "author" }, item.name),
    element(
      "div",
      { className: "bubble" },
      item.deleted ? "Message deleted" : attachment(item.attachment),
      !item.deleted && element("span", { data: { testid: "message-text" } }, item.content),
      stamp(item),
    ),
    item.changeable && more(item, actions),
    item.chosen && choices(item, actions),
    item.receipt && element("p", { className: "receipt", data: { testid: "receipt" } }, item.receipt),
    item.state === "failed" && failure(item, actions),
  );
}

function stamp(item) {
  const label = item.receipt || item.read ? "Read" : MARKS[item.state];
  return element(
    "span",
    { className: "stamp" },
    item.edited && element("span", { data: { testid: "edited" }, title: dateAndTime(item.edited) }, "edited"),
    element("time", { dateTime: item.createdAt, title: dateAndTime(item.createdAt) }, timeOfDay(item.createdAt)),
    item.mine &&
      !item.deleted &&
      element("span", { className: item.read ? "mark read" : "mark", role: "img", aria: { label } }),
  );
}

/** Of all these buttons one is a stop for the tab key; the arrows walk on from it. */
function more(item, actions) {
  return element(
    "button",
    {
      type: "button",
      className: "more",
      title: "Edit or delete",
      tabIndex: item.stop ? 0 : -1,
      data: { testid: "message-more" },
      aria: { label: "Edit or delete this message", expanded: Boolean(item.chosen) },
      onclick: () => actions.toggle(item),
    },
    icon("more"),
  );
}

function choices(item, actions) {
  const button = (name, text, action) =>
    element("button", { type: "button", className: "link", data: { testid: `message-${name}` }, onclick: () => action(item) }, text);
  return element(
    "p",
    { className: "choices", role: "group", aria: { label: "Change this message" } },
    item.content !== "" && button("edit", "Edit", actions.edit),
    button("delete", "Delete", actions.remove),
  );
}

function failure(item, actions) {
  const retry = () => actions.retry(item);
  return element(
    "p",
    { className: "failure" },
    `${item.problem} `,
    element("button", { type: "button", className: "link", data: { testid: "retry" }, onclick: retry }, "Try again"),
  );
}

/** An image where the page may show it (https only), otherwise a link. */
function attachment(attached) {
  if (!attached) return null;
  const { url, type } = attached;
  if (!/^https?:\/\//.test(url)) return null;
  const link = { href: url, target: "_blank", rel: "noopener noreferrer", className: "attachment" };
  if (type !== "image" || !url.startsWith("https://")) return element("a", link, "Open attachment");
  const image = { src: url, alt: "Attached image", loading: "lazy", referrerPolicy: "no-referrer" };
  return element("a", link, element("img", image));
}
