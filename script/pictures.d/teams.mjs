// Teams: the card is drawn by Microsoft's own renderer, in the page; here are the frame around it and the colours
// and sizes close to those of the light theme.
import { AVATAR, NOW, clock, onlyKeys } from "./common.mjs";

export const scripts = ["adaptivecards/dist/adaptivecards.min.js", "markdown-it/dist/browser/markdown-it.umd.min.js"];

export const css = `
  body { background: #f5f5f5; color: #242424; font: 14px/1.43 "Open Sans", "Noto Color Emoji", sans-serif; }
  #picture { padding: 14px 20px; }
  .message { display: flex; gap: 12px; padding: 8px 0; }
  .avatar { flex: none; width: 32px; height: 32px; border-radius: 6px; background: #3f6c8f; color: #fff;
    font-weight: 700; font-size: 13px; line-height: 32px; text-align: center; }
  .main { flex: 1; min-width: 0; max-width: 600px; }
  .who { font-size: 12px; color: #616161; margin-bottom: 4px; }
  .card { background: #fff; border: 1px solid #e0e0e0; border-radius: 6px; overflow: hidden; }
  .ac-container, .ac-adaptiveCard { outline: none; }
  .ac-textBlock p { margin: 0; }
  .ac-textBlock p + p { margin-top: 8px; }
  .ac-factset p { margin: 0; }
  .ac-factset td { padding-bottom: 4px; }
  .ac-pushButton { font: 600 14px/20px "Open Sans"; color: #242424; background: #fff; border: 1px solid #d1d1d1;
    border-radius: 4px; padding: 5px 12px; }
  a { color: #4f52b2; text-decoration: none; }`;

const same = (color, subtle = color) => ({ default: color, subtle });
const foregroundColors = {
  default: same("#242424", "#616161"), dark: same("#242424"), light: same("#ffffff"), accent: same("#4f52b2"),
  good: same("#237b4b"), warning: same("#835c00"), attention: same("#c4314b"),
};
const style = (backgroundColor) => ({ backgroundColor, foregroundColors });

const hostConfig = {
  fontFamily: '"Open Sans", "Noto Color Emoji", sans-serif',
  fontSizes: { small: 12, default: 14, medium: 16, large: 18, extraLarge: 24 },
  fontWeights: { lighter: 300, default: 400, bolder: 600 },
  lineHeights: { small: 16, default: 20, medium: 22, large: 24, extraLarge: 32 },
  spacing: { small: 4, default: 8, medium: 12, large: 16, extraLarge: 24, padding: 16 },
  separator: { lineThickness: 1, lineColor: "#e0e0e0" },
  containerStyles: {
    default: style("#ffffff"), emphasis: style("#f0f0f0"), accent: style("#e8ebfa"), good: style("#e7f2da"),
    warning: style("#fbf6d9"), attention: style("#fcecee"),
  },
  actions: { actionAlignment: "left", buttonSpacing: 8, spacing: "default" },
  factSet: { title: { weight: "bolder", maxWidth: 180, wrap: true }, value: { wrap: true }, spacing: 16 },
  textStyles: { heading: { size: "large", weight: "bolder" } },
};

export function html(body) {
  onlyKeys(body, ["type", "attachments", "summary"], "the Teams body");
  return body.attachments.map((attachment) => {
    onlyKeys(attachment, ["contentType", "contentUrl", "content"], "a Teams attachment");
    if (attachment.contentType !== "application/vnd.microsoft.card.adaptive")
      throw new Error(`a Teams attachment is a '${attachment.contentType}'`);
    return `<div class="message">${AVATAR}<div class="main">
      <div class="who">lua-webhook via Workflows &nbsp;${clock(NOW)}</div>
      <div class="card"></div></div></div>`;
  }).join("");
}

// Runs in the page. Markdown is only what Teams understands of it.
function drawCards({ cards, hostConfig }) {
  const { AdaptiveCard, HostConfig, Version, SerializationContext } = window.AdaptiveCards;
  const markdown = window.markdownit("zero", { html: false });
  markdown.enable(["paragraph", "list", "emphasis", "link", "escape", "entity", "newline"]);
  AdaptiveCard.onProcessMarkdown = (text, result) => {
    result.outputHtml = markdown.render(text);
    result.didProcess = true;
  };
  const frames = document.querySelectorAll(".card");
  cards.forEach((content, index) => {
    const context = new SerializationContext(new Version(1, 5));
    const card = new AdaptiveCard();
    card.hostConfig = new HostConfig(hostConfig);
    card.parse(content, context);
    const problems = [];
    for (let i = 0; i < context.eventCount; i++) problems.push(context.getEventAt(i).message);
    problems.push(...card.validateProperties().validationEvents.map((event) => event.message));
    if (problems.length > 0) throw new Error(`the Teams card has faults: ${problems.join("; ")}`);
    frames[index].appendChild(card.render());
  });
}

export async function draw(page, bodies) {
  const cards = bodies.flatMap((body) => body.attachments.map((attachment) => attachment.content));
  await page.evaluate(drawCards, { cards, hostConfig });
}
