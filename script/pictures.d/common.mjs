// What the pages of all three services need.

// The reader of the pictures looks as the messages come, in UTC, so that the three pictures agree.
export const ZONE = "UTC";
export const NOW = new Date("2026-02-15T08:14:45Z");
const LOCALE = "en-US";

export function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

// A body that holds what a page does not draw would make a picture that lies, so it is an error.
export function onlyKeys(object, known, what) {
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) throw new Error(`${what} has '${key}', which is not drawn yet`);
  }
}

export function formatTime(date, options) {
  return new Intl.DateTimeFormat(LOCALE, { timeZone: ZONE, ...options }).format(date);
}

export const clock = (date) => formatTime(date, { timeStyle: "short" });

// "today", "yesterday", "tomorrow" or undefined.
export function dayWord(date) {
  const day = (when) => Math.floor(when.getTime() / 86400000);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[day(date) - day(NOW)];
}

export const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const AVATAR = '<div class="avatar">LW</div>';
