-- What Slack, Discord and Teams accept, checked without our code: the shape, every limit, and that nothing in a text is
-- markup or a mention but what we put there. Each function raises what is wrong.
local cjson = require("cjson")

local rules = {}

--- Code points of valid UTF-8.
function rules.count(text)
  if not text:find("[\128-\255]") then return #text end
  return select(2, text:gsub("[^\128-\191]", ""))
end

local count = rules.count

local function check(condition, ...)
  if not condition then error((...):format(select(2, ...)), 3) end
end

-- RFC 3629, without surrogates and overlong forms. A character leaves a letter behind, so that the bytes around it stay
-- apart.
local function valid_utf8(text)
  if not text:find("[\128-\255]") then return true end
  local rest = text
    :gsub("[\240][\144-\191][\128-\191][\128-\191]", "x")
    :gsub("[\241-\243][\128-\191][\128-\191][\128-\191]", "x")
    :gsub("[\244][\128-\143][\128-\191][\128-\191]", "x")
    :gsub("[\224][\160-\191][\128-\191]", "x")
    :gsub("[\237][\128-\159][\128-\191]", "x")
    :gsub("[\225-\236\238\239][\128-\191][\128-\191]", "x")
    :gsub("[\194-\223][\128-\191]", "x")
  return not rest:find("[\128-\255]")
end

-- The marks that turn the direction of writing, and the byte order mark.
local HIDDEN = { "\226\128[\142\143\170-\174]", "\226\129[\166-\169]", "\216\156", "\239\187\191", "\226\128[\168\169]" }

-- White space as Discord trims it, and nothing else.
local function trim(text)
  return (text:gsub("^[ \t\n\r]+", ""):gsub("[ \t\n\r]+$", ""))
end

-- White space of Unicode and what has no width: U+00A0, U+00AD, U+034F, U+1680, U+180E, U+2000-U+200F, U+202F,
-- U+205F-U+206F, U+2800, U+3000, U+3164, U+FE00-U+FE0F, U+FFA0.
local INVISIBLE = { "\194[\160\173]", "\205\143", "\225\154\128", "\225\160[\139-\143]", "\226\128[\128-\143\175]",
  "\226\129[\159-\175]", "\226\160\128", "\227\128\128", "\227\133\164", "\239\184[\128-\143]", "\239\190\160" }

local function blank(text)
  if text:find("[!-~]") then return false end
  for _, mark in ipairs(INVISIBLE) do text = text:gsub(mark, "") end
  return trim(text) == ""
end

-- How many flags' halves stand at the end.
local function trailing_halves(text)
  local halves = 0
  while text:sub(-4, -2) == "\240\159\135" and text:byte(-1) >= 166 do
    halves, text = halves + 1, text:sub(1, -5)
  end
  return halves
end

-- What stands before "…" must be whole.
local function check_cut(text, escape)
  if not text:find("…", 1, true) then return end
  local before = text:match("^(.*)…")
  check(#before:match("\\*$") % 2 == 0 or escape ~= "\\", "cut after a backslash: %s", text:sub(-60))
  check(escape ~= "&" or not before:match("&%a*$"), "cut inside an entity: %s", text:sub(-60))
  check(before:sub(-3) ~= "\226\128\141", "cut after a joiner: %s", text:sub(-60))
  check(trailing_halves(before) % 2 == 0, "cut inside a flag: %s", text:sub(-60))
end

-- A text that people see: 1 to `limit` code points, not blank, no controls but line breaks.
local function check_text(text, limit, what, escape)
  check(type(text) == "string", "%s: no string", what)
  check(count(text) <= limit, "%s: %d code points, limit %d", what, count(text), limit)
  check(not blank(text), "%s: blank", what)
  check(not text:find("[%z\1-\9\11-\31\127]"), "%s: a control character", what)
  if not text:find("[\128-\255]") then return end
  check(not text:find("\194[\128-\159]"), "%s: a control character", what)
  for _, mark in ipairs(HIDDEN) do check(not text:find(mark), "%s: a mark that turns or hides", what) end
  check_cut(text, escape)
end

-- Exactly these keys; a name that ends in "?" may be absent.
local key_lists = {}

local function key_list(names)
  local list = { required = {}, known = {} }
  for name in names:gmatch("%S+") do
    if name:sub(-1) ~= "?" then list.required[#list.required + 1] = name end
    list.known[(name:gsub("%?$", ""))] = true
  end
  key_lists[names] = list
  return list
end

local function check_keys(object, names, what)
  check(type(object) == "table", "%s: no object", what)
  local list = key_lists[names] or key_list(names)
  for _, name in ipairs(list.required) do check(object[name] ~= nil, "%s: '%s' is missing", what, name) end
  for name in pairs(object) do check(list.known[name], "%s: unknown key '%s'", what, tostring(name)) end
end

local function check_list(list, low, high, what)
  check(type(list) == "table", "%s: no list", what)
  check(#list >= low and #list <= high, "%s: %d entries", what, #list)
end

local function decode(body)
  check(valid_utf8(body), "not valid UTF-8")
  local ok, value = pcall(cjson.decode, body)
  check(ok, "no JSON: %s", tostring(value))
  return value
end

-- A URL that may stand in a link without ending it.
local function check_url(url, limit, what)
  check(#url <= limit, "%s: longer than %d", what, limit)
  check(url:find("^[Hh][Tt][Tt][Pp][Ss]?://[%w%[]") and not url:find("[^%w%-.:/?#%[%]@!$&+,;=%%]"), "%s: %s", what, url)
end

-- -- Slack ---------------------------------------------------------------------------------------------

local DATE = "<!date%^%-?%d+%^{date_short_pretty} at {time}|%d%d%d%d%-%d%d%-%d%d %d%d:%d%d UTC>"

-- Nothing live: the only < and > are those of our dates and links.
local function check_slack_escapes(text, what)
  if not text:find("[<>&]") then return end
  local rest = text:gsub(DATE, ""):gsub("<([^<>|]*)|Open>", function(url)
    check(not url:gsub("&amp;", ""):find("&"), "%s: a bare & in a link", what)
    check_url((url:gsub("&amp;", "&")), 3000, what)
    return ""
  end)
  check(not rest:find("[<>]"), "%s: live markup: %s", what, text:sub(1, 200))
  rest = rest:gsub("&amp;", ""):gsub("&lt;", ""):gsub("&gt;", "")
  check(not rest:find("&", 1, true), "%s: a bare &: %s", what, text:sub(1, 200))
end

local function slack_text(object, kind, limit, what)
  check_keys(object, kind == "plain_text" and "type text emoji" or "type text verbatim?", what)
  check(object.type == kind and not object.emoji, "%s: wrong type", what)
  check_text(object.text, limit, what, "&")
  check_slack_escapes(object.text, what)
  return count(object.text)
end

local slack_blocks = {}

function slack_blocks.section(block)
  check_keys(block, "type text? fields?", "section")
  check(block.text or block.fields, "section: empty")
  local total = block.text and slack_text(block.text, "mrkdwn", 3000, "section text") or 0
  if not block.fields then return total end
  check_list(block.fields, 1, 10, "section fields")
  for _, field in ipairs(block.fields) do
    total = total + slack_text(field, "mrkdwn", 2000, "field")
    check(field.text:find("^%*[^\n]+%*\n[^\n]"), "field: no label or no value: %s", field.text:sub(1, 100))
  end
  return total
end

function slack_blocks.context(block)
  check_keys(block, "type elements", "context")
  check_list(block.elements, 1, 10, "context elements")
  local total = 0
  for _, element in ipairs(block.elements) do total = total + slack_text(element, "mrkdwn", 2000, "context") end
  return total
end

function rules.slack(body)
  local message = decode(body)
  check_keys(message, "text blocks attachments", "message")
  check_text(message.text, 40000, "text", "&")
  check_slack_escapes(message.text, "text")
  check_list(message.blocks, 1, 1, "blocks")
  check_keys(message.blocks[1], "type text", "header")
  check(message.blocks[1].type == "header", "the first block is no header")
  local total = slack_text(message.blocks[1].text, "plain_text", 150, "header")
  check_list(message.attachments, 1, 1, "attachments")
  local attachment = message.attachments[1]
  check_keys(attachment, "color blocks", "attachment")
  check(attachment.color:find("^#%x%x%x%x%x%x$"), "color: %s", attachment.color)
  check_list(attachment.blocks, 1, 49, "attachment blocks")
  for _, block in ipairs(attachment.blocks) do
    check(slack_blocks[block.type], "unknown block %s", tostring(block.type))
    total = total + slack_blocks[block.type](block)
  end
  check(total < 11000, "all blocks: %d code points", total)
  return message
end

-- -- Discord -------------------------------------------------------------------------------------------

local function discord_text(text, limit, what)
  check_text(text, limit, what, "\\")
  if not text:find("[^%w ,:\128-\255]") then return count(text) end
  if text:find("^`[%w_.:/@+-]+`$") or text:find("^`[%w_.:/@+-]+…`$") or text:find("^<t:%-?%d+:f>$") then return count(text) end
  local rest = text:gsub("\\[%p]", "")
  check(not rest:find("[\\*_~|`%[<]"), "%s: markup is not escaped: %s", what, text:sub(1, 200))
  for line in ("\n" .. text):gmatch("\n%s*([^\n]*)") do
    check(not line:find("^[#>-]") and not line:find("^%d+%."), "%s: a line is live: %s", what, line:sub(1, 60))
  end
  return count(trim(text))
end

function rules.discord(body)
  local message = decode(body)
  check_keys(message, "embeds allowed_mentions", "message")
  check(body:find('"allowed_mentions":{"parse":[]}', 1, true), "allowed_mentions does not forbid all")
  check_keys(message.allowed_mentions, "parse", "allowed_mentions")
  check(next(message.allowed_mentions.parse) == nil, "allowed_mentions does not forbid all")
  check_list(message.embeds, 1, 1, "embeds")
  local embed = message.embeds[1]
  check_keys(embed, "title url? color description? footer timestamp? fields?", "embed")
  check(embed.color % 1 == 0 and embed.color >= 0 and embed.color <= 0xffffff, "color: %s", tostring(embed.color))
  if embed.url then check_url(embed.url, 2048, "url") end
  if embed.timestamp then
    check(embed.timestamp:find("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"), "timestamp: %s", embed.timestamp)
  end
  local total = discord_text(embed.title, 256, "title")
  if embed.description then total = total + discord_text(embed.description, 4096, "description") end
  check_keys(embed.footer, "text", "footer")
  check_text(embed.footer.text, 2048, "footer")
  total = total + count(embed.footer.text)
  if embed.fields then check_list(embed.fields, 1, 25, "fields") end
  for _, field in ipairs(embed.fields or {}) do
    check_keys(field, "name value inline", "field")
    total = total + discord_text(field.name, 256, "field name") + discord_text(field.value, 1024, "field value")
  end
  check(total <= 6000, "embed: %d code points", total)
  return message
end

-- -- Teams ---------------------------------------------------------------------------------------------

local STYLES = { good = true, attention = true, warning = true, accent = true, emphasis = true }

local function teams_text(text, what)
  check_text(text, 21000, what, "\\")
  if not text:find("[^%w ,:\128-\255]") then return end
  check(not text:find("<", 1, true), "%s: a tag: %s", what, text:sub(1, 200))
  check(not text:find("{{", 1, true), "%s: a function: %s", what, text:sub(1, 200))
  local rest = text:gsub("\\[%p]", "")
  check(not rest:find("[\\*~`%[%]]") and not rest:find("%f[%w_]_"), "%s: markup is not escaped: %s", what,
    text:sub(1, 200))
  check(not ("\n" .. text):find("\n    "), "%s: a line is code: %s", what, text:sub(1, 200))
  for line in ("\n" .. text):gmatch("\n%s*([^\n]*)") do
    check(not line:find("^[#>+-]") and not line:find("^%d+[.)]"), "%s: a line is live: %s", what, line:sub(1, 60))
  end
end

local teams_elements = {}

function teams_elements.TextBlock(element)
  check_keys(element, "type text wrap style? size? weight? isSubtle?", "TextBlock")
  check(element.wrap == true, "TextBlock: does not wrap")
  teams_text(element.text, "TextBlock")
end

function teams_elements.Container(element)
  check_keys(element, "type style items bleed", "Container")
  check(STYLES[element.style], "Container: style %s", tostring(element.style))
  check_list(element.items, 1, 2, "Container items")
  for _, item in ipairs(element.items) do teams_elements.TextBlock(item) end
end

function teams_elements.FactSet(element)
  check_keys(element, "type facts", "FactSet")
  check_list(element.facts, 1, 100, "facts")
  for _, fact in ipairs(element.facts) do
    check_keys(fact, "title value", "fact")
    teams_text(fact.title, "fact title")
    teams_text(fact.value, "fact value")
  end
end

local function teams_card(card)
  check_keys(card, "$schema type version msteams body actions?", "card")
  check(card.type == "AdaptiveCard" and card.version == "1.5", "card: type or version")
  check_keys(card.msteams, "width", "msteams")
  check_list(card.body, 2, 5, "body")
  for _, element in ipairs(card.body) do
    check(teams_elements[element.type], "unknown element %s", tostring(element.type))
    teams_elements[element.type](element)
  end
  if not card.actions then return end
  check_list(card.actions, 1, 1, "actions")
  check_keys(card.actions[1], "type title url", "action")
  check(card.actions[1].type == "Action.OpenUrl", "action: %s", tostring(card.actions[1].type))
  check_url(card.actions[1].url, 2048, "action url")
end

function rules.teams(body)
  check(#body <= 21000, "%d bytes of JSON", #body)
  local message = decode(body)
  check_keys(message, "type attachments summary?", "message")
  check(message.type == "message", "type")
  if message.summary then teams_text(message.summary, "summary") end
  check_list(message.attachments, 1, 1, "attachments")
  local attachment = message.attachments[1]
  check_keys(attachment, "contentType contentUrl content", "attachment")
  check(attachment.contentType == "application/vnd.microsoft.card.adaptive", "contentType")
  check(attachment.contentUrl == cjson.null, "contentUrl")
  teams_card(attachment.content)
  return message
end

return rules
