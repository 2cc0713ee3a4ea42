// Words and times as they stand on the page.

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDate = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

const DAY_MS = 86_400_000;

/** Longer lists of names are cut. */
const NAMES = 8;

/** By list of participants: they are looked at for each picture of the page, and there may be a thousand. */
const othersOf = new WeakMap();

/** The other participants of a conversation. */
export function others({ participants }, me) {
  let found = othersOf.get(participants);
  if (!found) othersOf.set(participants, (found = participants.filter((user) => user._id !== me._id)));
  return found;
}

/** What a conversation is called: by its name, or by the people in it. */
export function titleOf(conversation, me) {
  if (conversation.name) return conversation.name;
  return listOf(others(conversation, me).map((user) => user.name)) || "Just you";
}

/** The second line in a group's header. */
export function membersOf(conversation, me) {
  if (conversation.type !== "group") return "";
  const names = others(conversation, me).slice(0, NAMES + 1).map((user) => user.name);
  const more = conversation.participantCount - 1 - NAMES;
  if (more > 1) return `${names.slice(0, NAMES).join(", ")}, ${more} others, you`;
  return [...names, "you"].join(", ");
}

/** Names with commas between them; many of them cut short. */
export function listOf(names) {
  const more = names.length - NAMES;
  return more > 1 ? `${names.slice(0, NAMES).join(", ")} and ${more} others` : names.join(", ");
}

/** Whether a conversation names its readers. */
export function namesReaders({ participants, whole }) {
  return whole && participants.length <= 32;
}

/** "Ada is typing…" for these names. */
export function typingText(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length <= 3) return `${names.slice(0, -1).join(", ")} and ${names.at(-1)} are typing…`;
  return `${names[0]}, ${names[1]} and ${names.length - 2} others are typing…`;
}

/** What somebody is now, in words; empty where it is not told. */
export function presenceText(presence) {
  if (!presence) return "";
  if (presence.status === "online") return "Online";
  if (presence.status === "away") return "Away";
  return presence.lastSeen ? `Last seen ${pointInTime(presence.lastSeen)}` : "Offline";
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

/** "today at 14:05", "yesterday at 9:30", or "on 3 May". */
function pointInTime(iso) {
  const days = daysAgo(iso);
  if (days < 1) return `today at ${timeOfDay(iso)}`;
  return days === 1 ? `yesterday at ${timeOfDay(iso)}` : `on ${shortDate.format(new Date(iso))}`;
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
