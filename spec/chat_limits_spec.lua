-- Every limit that our messages can reach, one below, at and above it: in ASCII, in characters of four bytes, and in
-- text that grows when it is escaped. And what somebody hostile might write into a field.
local rules = require("spec.support.chat_rules")
local webhook = require("webhook")

local FORMATS = { "slack", "discord", "teams" }
local HEAD = 2 -- the emoji and a space before a title

describe("within the limits", function()
  setup(function()
    if webhook.events.is_known("limits.text") then return end
    local function part(name) return function(data) return data[name] end end
    webhook.events.define("limits.text", { title = part("title"), text = part("text"), link = part("link"),
      show = { { "Field", part("value") } } })
    webhook.events.define("limits.fields")
  end)

  local function message(format, data)
    local body = assert(webhook.format({ event = "limits.text", data = data }, format))
    return rules[format](body), body
  end

  local function fields(format, data)
    local body = assert(webhook.format({ event = "limits.fields", data = data }, format))
    return rules[format](body), body
  end

  local parts = {
    slack = {
      title = function(m) return m.blocks[1].text.text end,
      text = function(m) return m.attachments[1].blocks[1].text.text end,
      value = function(m) return m.attachments[1].blocks[1].fields[1].text:match("\n(.*)$") end,
    },
    discord = {
      title = function(m) return m.embeds[1].title end,
      text = function(m) return m.embeds[1].description end,
      value = function(m) return m.embeds[1].fields[1].value end,
    },
    teams = {
      title = function(m) return m.attachments[1].content.body[1].items[1].text end,
      text = function(m) return m.attachments[1].content.body[1].items[2].text end,
      value = function(m) return m.attachments[1].content.body[2].facts[1].value end,
    },
  }
  -- Those of the services, and ours where it is the smaller one (a field's value in Slack and Teams, a card's texts).
  local limits = {
    { "slack", "title", 150 }, { "slack", "text", 3000 }, { "slack", "value", 500 },
    { "discord", "title", 256 }, { "discord", "text", 4096 }, { "discord", "value", 1024 },
    { "teams", "title", 256 }, { "teams", "text", 2800 }, { "teams", "value", 500 },
  }

  local function ends_in_dots(text) return text:sub(-#"…") == "…" end

  local function shown(format, part, text)
    return parts[format][part](message(format, { [part] = text }))
  end

  for _, limit in ipairs(limits) do
    local format, part, most = limit[1], limit[2], limit[3]
    local room = part == "title" and most - HEAD or most

    it(("of %s, a %s has at most %d code points"):format(format, part, most), function()
      for _, character in ipairs({ "x", "😀" }) do
        for _, count in ipairs({ room - 1, room }) do
          local text = shown(format, part, character:rep(count))
          assert.equal(count + most - room, rules.count(text))
          assert.is_false(ends_in_dots(text))
        end
        local text = shown(format, part, character:rep(room + 1))
        assert.equal(most, rules.count(text))
        assert.is_true(ends_in_dots(text))
      end
    end)

    it(("of %s, a %s is cut between escapes"):format(format, part), function()
      local escapes = { slack = { ["&"] = "&amp;", ["<"] = "&lt;" }, discord = { ["*"] = "\\*", ["\\"] = "\\\\" },
        teams = { ["*"] = "\\*", ["<"] = "&lt;" } }
      for character, escaped in pairs(escapes[format]) do
        for extra = 0, #escaped do
          local plain = ("x"):rep(extra)
          local fits = math.floor((room - extra) / #escaped)
          local text = shown(format, part, plain .. character:rep(fits))
          assert.equal(extra + fits * #escaped + most - room, rules.count(text))
          assert.is_false(ends_in_dots(text))
          text = shown(format, part, plain .. character:rep(fits + 1))
          assert.is_true(ends_in_dots(text))
          assert.is_true(rules.count(text) <= most and rules.count(text) > most - #escaped - 1)
        end
      end
    end)

    it(("of %s, a %s is cut between what readers see as characters"):format(format, part), function()
      for _, character in ipairs({ "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "1️⃣", "e\204\129\204\128" }) do
        for extra = 0, rules.count(character) do
          local text = shown(format, part, ("x"):rep(extra) .. character:rep(most))
          local rest = text:gsub("…$", ""):gsub("^[^x👩👍🇩1e]*", "")
          rest = rest:match("^.-x*(.*)$"):gsub(character:gsub("%p", "%%%0"), "")
          rest = rest:gsub("^🔔 ", ""):gsub("x", "")
          assert.equal("", rest, text:sub(-80))
          assert.is_true(ends_in_dots(text))
        end
      end
    end)
  end

  it("all strings of a Discord embed are 6000 together, and the rest is counted", function()
    local data = {}
    for i = 1, 24 do data[("k%02d"):format(i)] = ("x"):rep(1024) end
    local embed = fields("discord", data).embeds[1]
    local shown_fields = #embed.fields - 1
    assert.is_true(shown_fields >= 5 and shown_fields < 24)
    assert.equal(("and %d more"):format(24 - shown_fields), embed.fields[#embed.fields].value)
    local longest = message("discord", { title = ("x"):rep(9999), text = ("x"):rep(9999), value = ("x"):rep(9999) })
    assert.is_true(rules.count(longest.embeds[1].description) == 4096)
  end)

  it("24 fields are shown, of 500 the others are counted", function()
    local data = {}
    for i = 1, 24 do data[("k%03d"):format(i)] = i end
    for _, format in ipairs(FORMATS) do
      local _, body = fields(format, data)
      assert.is_nil(body:find(" more", 1, true))
    end
    for i = 25, 500 do data[("k%03d"):format(i)] = i end
    for _, format in ipairs(FORMATS) do
      local _, body = fields(format, data)
      assert.truthy(body:find('"and 476 more"', 1, true), body)
    end
  end)

  it("a Slack message's blocks stay under 11,000, a Teams message under 21,000 bytes of JSON", function()
    for _, character in ipairs({ "x", "😀", "&", "*", '"', "\\", "<", "漢" }) do
      local data = {}
      for i = 1, 30 do data[character .. i] = character:rep(700) end
      for _, format in ipairs(FORMATS) do
        fields(format, data) -- the rules check the totals
        message(format, { title = character:rep(3000), text = character:rep(9000), value = character:rep(3000),
          link = "https://x.example/" .. ("a"):rep(1900) })
      end
    end
    local _, body = message("teams", { text = ('"'):rep(2800), value = ("x"):rep(500) })
    assert.is_true(#body > 5600)
  end)

  it("a megabyte of text in every place is cut, not refused", function()
    for _, character in ipairs({ "x", "😀", "<", "e" .. ("\204\129"):rep(50) }) do
      local text = character:rep(math.floor(1048576 / #character))
      for _, format in ipairs(FORMATS) do
        message(format, { title = text, text = text, value = text, link = text })
        fields(format, { key = text, appId = text, [text:sub(1, 4 * 300)] = "x", status = text })
        rules[format]((webhook.format({ event = "job_finished", data = { stack = text, platform = text, id = text,
          appId = text, status = text } }, format)))
      end
    end
  end)
end)

describe("somebody hostile", function()
  local HOSTILE = {
    "<!channel>", "<!everyone>", "<!here|x>", "<@U1>", "<#C1>", "<!subteam^S1>", "<https://evil.example|safe>", "@everyone", "@here",
    "<@&1>", "[x](javascript:alert(1))", "[x](https://evil.example)", "![x](https://evil.example/x.png)", "</at>", "<at>x</at>",
    "{{DATE(2026-01-01T00:00:00Z,SHORT)}}", "{{{{", "`code`", "```\nblock\n```", "*bold*", "_it_ a_b", "~~s~~", "||s||", "# h",
    "x\n# h", "- item", "+ item", "1. one", "2) two", "> quote", ">>> quote", "\\", "\\\\*", "a\\", "&amp;lt;", "&lt;!channel&gt;",
    "\226\128\174gnp.exe", "\226\128\142\226\128\143", "\226\129\166x\226\129\169", "a\0b", "\27[31mred", "\r\n\r\n", "\226\128\168",
    "👩\226\128\141", "🇫", "\204\129", "\226\128\139", "…", "\239\187\191x", "|", "<!date^1^{date}|x>", "<t:1:R>", '"},{"', "\\u0000",
  }

  setup(function()
    if webhook.events.is_known("hostile") then return end
    webhook.events.define("hostile", { title = function(d) return d.text end, text = "{text}\n{text}",
      link = function(d) return d.text end, show = { { "{text}", "{text}" }, "text", { "Link", "https://x.example/{text}" } } })
  end)

  it("can neither ping nor break a message, in any field", function()
    for _, text in ipairs(HOSTILE) do
      for _, format in ipairs({ "slack", "discord", "teams" }) do
        rules[format]((webhook.format({ event = "hostile", data = { text = text } }, format)))
        local data = { [text] = text, status = text, appId = text, stack = text, platform = text, id = text,
          gitRef = text, packageName = text, appChannelName = text, createdBy = text }
        for _, name in ipairs({ "job_finished", "app_build_created", "app_deployment_created", "limits.fields" }) do
          rules[format]((webhook.format({ event = name, data = data }, format)))
        end
      end
    end
  end)

  it("cannot reach a terminal through the preview", function()
    for _, text in ipairs(HOSTILE) do
      local preview = assert(webhook.preview({ event = "hostile", data = { text = text } }, "slack"))
      assert.is_nil(preview:find("[%z\1-\9\11-\31\127]"))
      assert.is_nil(preview:find("\226\128\174", 1, true))
    end
  end)

  it("cannot make a link of anything but http and https", function()
    for link, kept in pairs({ ["javascript:alert(1)"] = false, ["ftp://x"] = false, ["https://"] = false, ["//x"] = false,
      ["https://x.example/a"] = "https://x.example/a", ["HTTP://x.example"] = "HTTP://x.example",
      ["https://x.example/a b|c>d)e"] = "https://x.example/a%20b%7Cc%3Ed%29e",
      ["https://x.example/ü"] = "https://x.example/%C3%BC" }) do
      local embed = rules.discord((webhook.format({ event = "hostile", data = { text = link } }, "discord"))).embeds[1]
      assert.equal(kept or nil, embed.url)
    end
  end)
end)
