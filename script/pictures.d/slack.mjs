// Slack: a message with blocks and attachments, as the desktop client shows it (light).
import { AVATAR, NOW, capitalized, clock, dayWord, escapeHtml, formatTime, onlyKeys } from "./common.mjs";

export const css = `
  body { background: #fff; color: #1d1c1d; font: 15px/1.46668 Lato, "Noto Color Emoji", sans-serif; }
  #picture { padding: 14px 20px; }
  .message { display: flex; gap: 8px; padding: 8px 0; }
  .avatar { flex: none; width: 36px; height: 36px; border-radius: 6px; background: #3f6c8f; color: #fff;
    font-weight: 900; font-size: 14px; line-height: 36px; text-align: center; }
  .main { flex: 1; min-width: 0; }
  .who b { font-weight: 900; }
  .app { font-size: 10px; font-weight: 700; background: #ececec; color: #616061; border-radius: 2px;
    padding: 1px 4px; margin: 0 6px; vertical-align: 1px; }
  .when { font-size: 12px; color: #616061; }
  .attachment { display: flex; gap: 12px; margin-top: 4px; max-width: 600px; }
  .bar { flex: none; width: 4px; border-radius: 8px; }
  .blocks { flex: 1; min-width: 0; overflow-wrap: break-word; }
  .block { margin: 4px 0 8px; }
  .blocks .block:last-child { margin-bottom: 2px; }
  .header { font-size: 18px; font-weight: 900; }
  .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; }
  .section .text + .fields { margin-top: 8px; }
  .context { font-size: 13px; color: #616061; }
  .context span + span { margin-left: 8px; }
  .button { display: inline-block; border: 1px solid rgba(29,28,29,.3); border-radius: 8px; padding: 0 12px;
    font-size: 13px; font-weight: 700; line-height: 28px; }
  code { font: 12px/1.5 "DejaVu Sans Mono"; color: #c01343; background: rgba(29,28,29,.04);
    border: 1px solid rgba(29,28,29,.13); border-radius: 3px; padding: 2px 3px 1px; }
  a { color: #1264a3; text-decoration: none; }
  hr { border: 0; border-top: 1px solid #ddd; }`;

const ordinal = (n) => n + (n > 10 && n < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th");

function date(seconds, template) {
  const when = new Date(seconds * 1000);
  const day = ordinal(Number(formatTime(when, { day: "numeric" })));
  const tokens = {
    date: `${formatTime(when, { month: "long" })} ${day}, ${formatTime(when, { year: "numeric" })}`,
    date_short: formatTime(when, { dateStyle: "medium" }),
    date_long: formatTime(when, { dateStyle: "full" }),
    date_num: when.toISOString().slice(0, 10),
    time: clock(when),
    time_secs: formatTime(when, { timeStyle: "medium" }),
  };
  return template.replace(/\{(\w+?)(_pretty)?\}/g, (token, name, pretty, at) => {
    if (!(name in tokens)) throw new Error(`Slack knows no date token ${token}`);
    const word = pretty && dayWord(when);
    return word ? (at === 0 ? capitalized(word) : word) : tokens[name];
  });
}

// What stands between < and >.
function control(inside) {
  const [target, label] = inside.split("|");
  const parts = target.split("^");
  if (parts[0] === "!date") return date(Number(parts[1]), parts[2]);
  if (/^(https?:|mailto:)/.test(target)) return `<a href="${escapeHtml(target)}">${label ?? target}</a>`;
  throw new Error(`a Slack message contains <${inside}>: that would ping, or is not drawn yet`);
}

// Slack undoes three entities and no more; any other stays to be seen.
const entities = (text) => text.replace(/&(?!amp;|lt;|gt;)/g, "&amp;").replace(/"/g, "&quot;");

function noShortcode(text) {
  const found = text.match(/:[a-z][a-z0-9_+-]*:/);
  if (found) throw new Error(`Slack makes an emoji of ${found[0]}, which is not drawn yet`);
}

function mrkdwn(text) {
  noShortcode(text.replace(/<[^<>]*>/g, ""));
  const kept = [];
  const keep = (html) => `\uE000${kept.push(html) - 1}\uE001`;
  // A mark counts where it stands at the edges of a word.
  const style = (mark, tag) => {
    const inside = `(?! )([^${mark}\\n]+?)(?<! )`;
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}${mark}])[${mark}]${inside}[${mark}](?![\\p{L}\\p{N}${mark}])`, "gu");
    text = text.replace(pattern, `<${tag}>$1</${tag}>`);
  };
  text = text.replace(/<([^<>]*)>/g, (_, inside) => keep(control(inside)));
  text = entities(text);
  text = text.replace(/`([^`\n]+)`/g, (_, code) => keep(`<code>${code}</code>`));
  style("*", "b");
  style("_", "i");
  style("~", "s");
  text = text.replace(/\n/g, "<br>");
  return text.replace(/\uE000(\d+)\uE001/g, (_, index) => kept[index]);
}

function textObject(object) {
  onlyKeys(object, ["type", "text", "emoji", "verbatim"], "a Slack text object");
  if (object.text.trim() === "") throw new Error("a Slack text object is empty");
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  if (object.type !== "plain_text") throw new Error(`a Slack text object has type '${object.type}'`);
  noShortcode(object.text);
  return entities(object.text.replace(/[<>]/g, (c) => (c === "<" ? "&lt;" : "&gt;")));
}

function button(element) {
  onlyKeys(element, ["type", "text", "url", "action_id", "style"], "a Slack button");
  if (element.type !== "button") throw new Error(`the Slack element '${element.type}' is not drawn yet`);
  return `<span class="button">${textObject(element.text)}</span>`;
}

const blocks = {
  header(block) {
    onlyKeys(block, ["type", "text"], "a Slack header");
    return textObject(block.text);
  },
  section(block) {
    onlyKeys(block, ["type", "text", "fields"], "a Slack section");
    const fields = (block.fields ?? []).map((field) => `<div>${textObject(field)}</div>`).join("");
    return (block.text ? `<div class="text">${textObject(block.text)}</div>` : "") +
      (fields ? `<div class="fields">${fields}</div>` : "");
  },
  context(block) {
    onlyKeys(block, ["type", "elements"], "a Slack context");
    return block.elements.map((element) => `<span>${textObject(element)}</span>`).join("");
  },
  actions(block) {
    onlyKeys(block, ["type", "elements"], "a Slack actions block");
    return block.elements.map(button).join(" ");
  },
  divider: () => "<hr>",
};

function drawBlocks(list) {
  return list.map((block) => {
    if (!blocks[block.type]) throw new Error(`the Slack block '${block.type}' is not drawn yet`);
    return `<div class="block ${block.type}">${blocks[block.type](block)}</div>`;
  }).join("");
}

function attachment(part) {
  onlyKeys(part, ["color", "blocks", "fallback"], "a Slack attachment");
  if (!/^#[0-9a-fA-F]{6}$/.test(part.color)) throw new Error(`a Slack attachment has the colour '${part.color}'`);
  return `<div class="attachment"><div class="bar" style="background:${part.color}"></div>
    <div class="blocks">${drawBlocks(part.blocks)}</div></div>`;
}

export function html(body) {
  // `text` is what a notification shows; it is not drawn where there are blocks.
  onlyKeys(body, ["text", "blocks", "attachments"], "the Slack body");
  return `<div class="message">${AVATAR}<div class="main">
    <div class="who"><b>lua-webhook</b><span class="app">APP</span><span class="when">${clock(NOW)}</span></div>
    ${drawBlocks(body.blocks ?? [])}${(body.attachments ?? []).map(attachment).join("")}
  </div></div>`;
}
