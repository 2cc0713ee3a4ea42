// Words and times as they stand on the page.

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDate = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

const DAY_MS = 86_400_000;

/** The other participants of a conversation. */
export function others(conversation, me) {
  return conversation.participants.filter((user) => user._id !== me._id);
}

/** What a conversation is called: by its name, or by the people in it. */
export function titleOf(conversation, me) {
  if (conversation.name) return conversation.name;
  return others(conversation, me).map((user) => user.name).join(", ") || "Just you";
}

/** The second line in a group's header. */
export function membersOf(conversation, me) {
  if (conversation.type !== "group") return "";
  return [...others(conversation, me).map((user) => user.name), "you"].join(", ");
}

/** What a message says, in one line. */
export function summaryOf(message) {
  if (message.isDeleted) return "Message deleted";
  if (message.content) return message.content;
  return message.contentType === "image" ? "Image" : "File";
}

/** A conversation's last message, with its author where that is not plain. */
export function previewOf(conversation, me) {
  const message = conversation.lastMessage;
  if (!message) return "No messages yet";
  if (message.sender._id === me._id) return `You: ${summaryOf(message)}`;
  return conversation.type === "group" ? `${message.sender.name}: ${summaryOf(message)}` : summaryOf(message);
}

/** Which local day a point in time belongs to; the same text for the same day. */
export const dayKey = (iso) => new Date(iso).toDateString();

export const timeOfDay = (iso) => clock.format(new Date(iso));
export const dateAndTime = (iso) => fullDate.format(new Date(iso));

/** "Today", "Yesterday", or the date. */
export function dayName(iso) {
  const days = daysAgo(iso);
  if (days < 1) return "Today";
  return days === 1 ? "Yesterday" : longDate.format(new Date(iso));
}

/** As short as it can be understood: a time today, a weekday this week, otherwise a date. */
export function shortTime(iso) {
  const days = daysAgo(iso);
  if (days < 1) return timeOfDay(iso);
  return (days < 7 ? weekday : shortDate).format(new Date(iso));
}

/** In calendar days; rounded, since a day with a change of the clocks has 23 or 25 hours. */
function daysAgo(iso) {
  const midnight = (date) => date.setHours(0, 0, 0, 0);
  return Math.round((midnight(new Date()) - midnight(new Date(iso))) / DAY_MS);
}
