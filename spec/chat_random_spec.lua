-- Events of random shape: whatever is in them, every service accepts what we send it.
-- LW_SEED repeats a run, LW_RANDOM_EVENTS says how many.
local cjson = require("cjson")
local rules = require("spec.support.chat_rules")
local webhook = require("webhook")

local FORMATS = { "slack", "discord", "teams" }
local STATUSES = { "queued", "pending", "in_progress", "succeeded", "failed", "canceled", "rejected", "timed_out" }
-- No "…", lone joiner or half a flag: the rules take those for the traces of a bad cut (chat_limits_spec has them).
local HOSTILE = {
  "<!channel>", "<@U1>", "@everyone", "[x](javascript:alert(1))", "</at>", "<at>x</at>", "```", "`", "*b*", "_i_", "~~s~~",
  "||s||", "&amp;", "&", "<", ">", "\\", '"', "{{DATE(2026-01-01T00:00:00Z)}}", "# head", "- item", "> quote", "1. one",
  "12", ".", ")", "\n", "\r\n", "\t", "\0", "\27[31m", "\226\128\174", "\226\128\143", "\239\187\191", "\226\128\168", " ",
  "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "1️⃣", "é", "a\204\129\204\129\204\129", "漢字", "नमस्ते", "word", "macos-tahoe", "x",
  "http://x.example/?a=b&c=d", "|", "https://x.example/(a)", "{", "}", "\127", "\194\133", "\226\128\139",
}
local KNOWN = {
  job_finished = { "id", "appBuildId", "appDeploymentId", "appId", "status", "stack", "platform", "createdBy", "canceledBy",
    "finishedAt", "createdAt", "totalTimeInSeconds", "queueTimeInSeconds", "inProgressTimeInSeconds" },
  job_created = { "id", "appBuildId", "appId", "status", "stack", "createdAt", "queueTimeInSeconds" },
  app_build_created = { "id", "appId", "platform", "packageName", "packageVersion", "numberAsString", "gitRef", "type",
    "jobId", "createdBy", "createdAt" },
  app_deployment_created = { "id", "appId", "appBuildId", "appChannelId", "appChannelName", "appDestinationId",
    "appDestinationName", "rolloutPercentage", "jobId", "createdAt" },
}
local NAMES = {}
for name in pairs(KNOWN) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local random = math.random
local function any(list) return list[random(#list)] end

local function long_text()
  local piece = any(HOSTILE)
  return piece:rep(random(1, math.ceil(6000 / #piece)))
end

local function text()
  if random(40) == 1 then return long_text() end
  local parts = {}
  for i = 1, random(0, 12) do parts[i] = any(HOSTILE) end
  return table.concat(parts, any({ "", " ", "" }))
end

local function uuid()
  return (("xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx"):gsub("x", function() return ("%x"):format(random(0, 15)) end))
end

local value
local function object(depth)
  local data = {}
  for _ = 1, random(0, 6) do data[text() .. random(9)] = value(depth + 1) end
  return data
end

function value(depth)
  local kind = random(12)
  if kind <= 4 then return text() end
  if kind == 5 then return uuid() end
  if kind == 6 then return random(1000000000000, 1900000000000) end
  if kind == 7 then return random(-100, 100000) end
  if kind == 8 then return random() end
  if kind == 9 then return random(2) == 1 end
  if kind == 10 or depth > 3 then return cjson.null end
  return object(depth)
end

local function known_event()
  local name = any(NAMES)
  local data = {}
  for _, field in ipairs(KNOWN[name]) do
    local kind = random(5)
    if field == "status" and kind < 4 then
      data[field] = any(STATUSES)
    elseif field == "platform" and kind < 4 then
      data[field] = any({ "ios", "android", "web" })
    elseif kind > 1 then
      data[field] = value(0)
    end
  end
  return { event = name, data = data }
end

local function own_event()
  local data = object(0)
  if random(20) == 1 then
    for i = 1, 500 do data["field" .. i] = value(3) end
  end
  for _, field in ipairs({ "status", "createdAt", "appId", "link", "severity" }) do
    if random(3) == 1 then data[field] = value(0) end
  end
  return { event = any({ "random.plain", "random.told", "random_told_by_functions" }), data = data }
end

local function define()
  if webhook.events.is_known("random.plain") then return end
  webhook.events.define("random.plain")
  webhook.events.define("random.told", {
    title = "{status} {appId} {createdAt}", text = "{link}\n{status}", link = "https://x.example/{link}?a={status}",
    show = { "status", { "*L*", "{appId}" }, "createdAt", { "<x>", "{nothing}{link}" } },
  })
  webhook.events.define("random_told_by_functions", {
    title = text, text = function(data) return type(data.status) == "string" and data.status or text() end, link = text,
    severity = function() return any({ "success", "failure", "warning", "neutral", "progress" }) end,
    show = { { "Text", text }, { "More", long_text }, "appId" },
  })
end

describe("events of random shape", function()
  local seed = tonumber(os.getenv("LW_SEED")) or os.time() % 1000000
  -- One of the script's runs makes them all; in the others, which are slower, a few of them must do.
  local whole_run = _VERSION == "Lua 5.4" and not os.getenv("LW_SANITIZED")
  local total = tonumber(os.getenv("LW_RANDOM_EVENTS")) or (whole_run and 100000 or 3000)

  it(("are accepted by every service (%d events, LW_SEED=%d)"):format(total, seed), function()
    print(("random events: LW_SEED=%d"):format(seed))
    define()
    for number = 1, total do
      math.randomseed((seed * 1000003 + number) % 2147483647)
      local event = random(2) == 1 and known_event() or own_event()
      for _, format in ipairs(FORMATS) do
        local body = assert(webhook.format(event, format))
        local ok, problem = pcall(rules[format], body)
        if not ok then error(("LW_SEED=%d, event %d, %s: %s\n%s"):format(seed, number, format, problem, body:sub(1, 3000))) end
      end
    end
  end)
end)
