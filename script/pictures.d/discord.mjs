// Discord: a message with embeds, as the desktop client shows it (dark).
import { AVATAR, NOW, capitalized, clock, dayWord, escapeHtml, formatTime, onlyKeys } from "./common.mjs";

export const css = `
  body { background: #313338; color: #dbdee1; font: 16px/1.375 "Open Sans", "Noto Color Emoji", sans-serif; }
  #picture { padding: 12px 20px 14px; }
  .message { display: flex; gap: 16px; padding: 7px 0; }
  .avatar { flex: none; width: 40px; height: 40px; border-radius: 10px; background: #3f6c8f; color: #fff;
    font-weight: 700; font-size: 15px; line-height: 40px; text-align: center; }
  .main { flex: 1; min-width: 0; }
  .who b { font-weight: 600; color: #f2f3f5; }
  .app { font-size: 10px; font-weight: 600; background: #5865f2; color: #fff; border-radius: 4px;
    padding: 2px 4px; margin: 0 5px; vertical-align: 2px; }
  .when { font-size: 12px; color: #949ba4; }
  .embed { max-width: 520px; box-sizing: border-box; background: #2b2d31; border-left: 4px solid; border-radius: 4px;
    padding: 8px 16px 14px 12px; margin-top: 4px; font-size: 14px; overflow-wrap: break-word; }
  .embed > * { margin-top: 8px; }
  .title { font-size: 16px; font-weight: 600; color: #f2f3f5; }
  .fields { display: grid; grid-template-columns: repeat(12, 1fr); gap: 8px; }
  .fields > div { min-width: 0; }
  .name { font-weight: 600; color: #f2f3f5; margin-bottom: 2px; }
  .footer { font-size: 12px; font-weight: 500; }
  .time { background: rgba(78,80,88,.48); border-radius: 3px; padding: 0 2px; }
  code { font: 85%/1.3 "DejaVu Sans Mono"; background: #1e1f22; border-radius: 4px; padding: 2px 3px; }
  a { color: #00a8fc; text-decoration: none; }`;

const TIMES = {
  t: { timeStyle: "short" }, T: { timeStyle: "medium" }, d: { dateStyle: "short" }, D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" }, F: { dateStyle: "full", timeStyle: "short" },
};

function timestamp(seconds, style) {
  if (!TIMES[style]) throw new Error(`the Discord timestamp style '${style}' is not drawn yet`);
  return `<span class="time">${formatTime(new Date(seconds * 1000), TIMES[style])}</span>`;
}

function mention(found) {
  throw new Error(`a Discord message contains ${found}: that would show as a mention`);
}

// In order; each is tried at the place reached. What none of them takes is one plain character.
const RULES = [
  [/^\\([^0-9A-Za-z\s])/, (m) => escapeHtml(m[1])],
  [/^(`+)([^]*?[^`])\1(?!`)/, (m) => `<code>${escapeHtml(m[2].trim())}</code>`],
  [/^<t:(-?\d+)(?::(\w))?>/, (m) => timestamp(Number(m[1]), m[2] ?? "f")],
  [/^<(?:@|#|:|a:|\/|id:)[^<>]*>|^@(?:everyone|here)/, (m) => mention(m[0])],
  [/^\[((?:\\[^]|[^\\\]])+)\]\((https?:\/\/[^\s()]+)\)/, (m) => link(m[2], markdown(m[1]))],
  [/^<(https?:\/\/[^\s<>]+)>/, (m) => link(m[1], escapeHtml(m[1]))],
  [/^https?:\/\/[^\s<]+[^<.,:;"')\]\s]/, (m) => link(m[0], escapeHtml(m[0]))],
  [/^\*\*((?:\\[^]|[^\\])+?)\*\*(?!\*)/, (m) => `<b>${markdown(m[1])}</b>`],
  [/^__((?:\\[^]|[^\\])+?)__(?!_)/, (m) => `<u>${markdown(m[1])}</u>`],
  [/^~~((?:\\[^]|[^\\])+?)~~/, (m) => `<s>${markdown(m[1])}</s>`],
  [/^\|\|((?:\\[^]|[^\\])+?)\|\|/, (m) => { throw new Error(`the Discord spoiler ${m[0]} is not drawn yet`); }],
  [/^\*(?!\s)((?:\\[^]|[^\\*])+?)\*(?!\*)/, (m) => `<i>${markdown(m[1])}</i>`],
  [/^_((?:\\[^]|[^\\_])+?)_(?![\p{L}\p{N}_])/u, (m) => `<i>${markdown(m[1])}</i>`],
  [/^\n/, () => "<br>"],
  [/^[\p{L}\p{N}]+|^[^]/u, (m) => escapeHtml(m[0])],
];

const link = (url, label) => `<a href="${escapeHtml(url)}">${label}</a>`;

function markdown(text) {
  let out = "";
  while (text !== "") {
    for (const [pattern, write] of RULES) {
      const match = pattern.exec(text);
      if (match) {
        out += write(match);
        text = text.slice(match[0].length);
        break;
      }
    }
  }
  return out;
}

function lines(text) {
  const found = /^\s*(?:#{1,3}|-#|[-*>]|\d+\.)\s.*$/m.exec(text);
  if (found) throw new Error(`Discord makes a heading, a list or a quote of '${found[0]}', which is not drawn yet`);
  return markdown(text.trim());
}

function field(part, span) {
  onlyKeys(part, ["name", "value", "inline"], "a Discord field");
  if (part.name.trim() === "" || part.value.trim() === "") throw new Error("a Discord field is empty");
  return `<div style="grid-column:span ${span}"><div class="name">${lines(part.name)}</div>${lines(part.value)}</div>`;
}

// Inline fields that follow each other stand three to a row; a row of two or one shares the width.
function fields(list) {
  const rows = [];
  for (const part of list) {
    const row = rows.at(-1);
    if (part.inline && row?.[0].inline && row.length < 3) row.push(part);
    else rows.push([part]);
  }
  return rows.flatMap((row) => row.map((part) => field(part, 12 / row.length))).join("");
}

function footer(embed) {
  const parts = [];
  if (embed.footer) {
    onlyKeys(embed.footer, ["text"], "a Discord footer");
    parts.push(escapeHtml(embed.footer.text)); // no Markdown here: a backslash would be seen
  }
  if (embed.timestamp) {
    const when = new Date(embed.timestamp);
    if (Number.isNaN(when.getTime())) throw new Error(`the Discord timestamp '${embed.timestamp}' is no time`);
    const word = dayWord(when);
    const other = formatTime(when, { dateStyle: "short", timeStyle: "short" });
    parts.push(word ? `${capitalized(word)} at ${clock(when)}` : other);
  }
  return parts.length > 0 ? `<div class="footer">${parts.join(" • ")}</div>` : "";
}

function embed(part) {
  onlyKeys(part, ["title", "url", "description", "color", "fields", "footer", "timestamp", "type"], "a Discord embed");
  const title = part.title && lines(part.title);
  const color = `#${part.color.toString(16).padStart(6, "0")}`;
  return `<div class="embed" style="border-color:${color}">` +
    (title ? `<div class="title">${part.url ? link(part.url, title) : title}</div>` : "") +
    (part.description ? `<div>${lines(part.description)}</div>` : "") +
    (part.fields?.length ? `<div class="fields">${fields(part.fields)}</div>` : "") + footer(part) + "</div>";
}

export function html(body) {
  onlyKeys(body, ["content", "embeds", "allowed_mentions"], "the Discord body");
  if (JSON.stringify(body.allowed_mentions) !== '{"parse":[]}')
    throw new Error("the Discord body allows mentions");
  return `<div class="message">${AVATAR}<div class="main">
    <div class="who"><b>lua-webhook</b><span class="app">APP</span><span class="when">Today at ${clock(NOW)}</span></div>
    ${body.content ? `<div>${lines(body.content)}</div>` : ""}${body.embeds.map(embed).join("")}
  </div></div>`;
}
