-- The rules that the chat specs rely on refuse what they should.
local rules = require("spec.support.chat_rules")
local sample = require("spec.support.sample")
local webhook = require("webhook")

describe("the chat rules", function()
  local event

  setup(function() event = sample.job_finished() end)

  -- The body with one plain replacement, which has to be found.
  local function spoiled(format, from, to)
    local body = webhook.format(event, format)
    local start, stop = body:find(from, 1, true)
    assert.truthy(start, "not in the body: " .. from)
    return body:sub(1, start - 1) .. to .. body:sub(stop + 1)
  end

  local function refuses(format, what, from, to)
    local ok, message = pcall(rules[format], spoiled(format, from, to))
    assert.is_false(ok, ("%s accepted %s"):format(format, to))
    assert.truthy(message:find(what, 1, true), message)
  end

  local TITLE = "Native build was canceled"

  it("accept a sample", function()
    for _, format in ipairs({ "slack", "discord", "teams" }) do
      rules[format]((webhook.format(event, format)))
    end
  end)

  for _, format in ipairs({ "slack", "discord", "teams" }) do
    it("refuse in " .. format .. " what no service may get", function()
      refuses(format, "UTF-8", TITLE, "\255")
      refuses(format, "UTF-8", TITLE, "\195😀\169")
      refuses(format, "no JSON", TITLE, '"')
      refuses(format, "control", TITLE, "a\\u0007")
      refuses(format, "turns", TITLE, "a\226\128\174b")
      refuses(format, "joiner", TITLE, "👩\226\128\141…")
      refuses(format, "flag", TITLE, "🇩🇪🇫…")
      refuses(format, "unknown key", "{", '{"link_names":true,')
    end)
  end

  it("refuse in Slack live markup and what is too long", function()
    for _, markup in ipairs({ "<!channel>", "<@U1>", "<https://x.example|x>", "a & b", "a > b", "<!date^1^x|y>" }) do
      refuses("slack", markup:find("&") and "a bare &" or "live markup", TITLE, markup)
    end
    refuses("slack", "limit 150", '"emoji":false,"text":"', '"emoji":false,"text":"' .. ("x"):rep(150))
    refuses("slack", "limit 2000", "*Job*\\n", "*Job*\\n" .. ("x"):rep(2000))
    refuses("slack", "entity", TITLE, "a&am…")
  end)

  it("refuse in Discord live markup, pings and what is too long", function()
    for _, markup in ipairs({ "*b*", "_b_", "~b", "|b", "`b", "[x](y)", "<@U1>", "a\\\\" }) do
      refuses("discord", "escaped", TITLE, markup)
    end
    refuses("discord", "a line is live", '"description":"', '"description":"# big\\n')
    refuses("discord", "a line is live", '"description":"', '"description":"x\\n1. a\\n')
    refuses("discord", "allowed_mentions", '{"parse":[]}', '{"parse":["users"]}')
    refuses("discord", "limit 256", TITLE, ("x"):rep(256))
    refuses("discord", "limit 4096", '"description":"', '"description":"' .. ("x"):rep(4096))
    refuses("discord", "limit 1024", '"value":"', '"value":"' .. ("x"):rep(1024))
    refuses("discord", "blank", '"name":"Job"', '"name":" "')
    refuses("discord", "blank", '"value":"18 s"', '"value":"\194\160"')
    refuses("discord", "blank", '"value":"18 s"', '"value":"\226\128\139"')
    refuses("discord", "allowed_mentions", '"embeds":', '"allowed_mentions":{"parse":["everyone"]},"embeds":')
    refuses("discord", "backslash", TITLE, "a\\\\…")
  end)

  it("refuse in Teams mentions, functions, live markup and what is too large", function()
    refuses("teams", "a tag", TITLE, "<at>x</at>")
    refuses("teams", "a function", TITLE, "{{DATE(x)}}")
    for _, markup in ipairs({ "*b*", "_b_", "[x](y)", "`b`", "~b" }) do
      refuses("teams", "escaped", TITLE, markup)
    end
    refuses("teams", "a line is code", "Canceled after 27 s.", "a\\n\\n    b")
    refuses("teams", "bytes of JSON", TITLE, ("x"):rep(21000))
    refuses("teams", "unknown key", '"width":"Full"', '"width":"Full","entities":[]')
    refuses("teams", "unknown element", '"type":"FactSet"', '"type":"Action.Submit"')
  end)
end)
