-- What the messages say.
local cjson = require("cjson")
local raises = require("spec.support.raises")
local rules = require("spec.support.chat_rules")
local sample = require("spec.support.sample")
local webhook = require("webhook")

local FORMATS = { "slack", "discord", "teams" }
local ID = "16555c02-a320-4bec-a14a-52754d783970"
local TIME = 1771143284003 -- 2026-02-15 08:14:44 UTC

local function lines(event)
  local list = {}
  for line in assert(webhook.preview(event, "slack")):gmatch("[^\n]+") do list[#list + 1] = line end
  return list
end

local function title(event) return lines(event)[1] end

local function has_line(event, wanted)
  for _, line in ipairs(lines(event)) do
    if line:gsub("^ +", ""):gsub("  +", " ") == wanted then return true end
  end
  return false
end

local function job(data)
  data.appBuildId = data.appBuildId or "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c"
  return { event = "job_finished", data = data }
end

describe("a job's message", function()
  local STATUSES = {
    queued = { "🕓 Native build queued", "Waiting in the queue.", "emphasis" },
    pending = { "⏳ Native build pending", "About to start.", "accent" },
    in_progress = { "🔄 Native build running", "Running now.", "accent" },
    succeeded = { "✅ Native build succeeded", "Finished in 1 min 27 s.", "good" },
    failed = { "❌ Native build failed", "Failed after 1 min 27 s.", "attention" },
    canceled = { "🚫 Native build was canceled", "Canceled after 1 min 27 s.", "emphasis" },
    rejected = { "⛔ Native build was rejected", "Rejected.", "warning" },
    timed_out = { "⏰ Native build timed out", "Timed out after 1 min 27 s.", "attention" },
  }

  for status, expected in pairs(STATUSES) do
    it("says what happened to what: " .. status, function()
      local event = job({ status = status, platform = "ios", stack = "macos-tahoe", totalTimeInSeconds = 87 })
      assert.equal(expected[1] .. " · iOS · macos-tahoe", title(event))
      assert.equal(expected[2], lines(event)[2])
      local card = rules.teams((webhook.format(event, "teams"))).attachments[1].content
      assert.equal(expected[3], card.body[1].style)
    end)
  end

  it("names the platform and the kind of work as far as they are known", function()
    local cases = {
      { { platform = "android" }, "❌ Native build failed · Android" },
      { { platform = "web" }, "❌ Web build failed" },
      { { platform = "visionos" }, "❌ App build failed · visionos" },
      { { stack = "macos-tahoe" }, "❌ Native build failed · macos-tahoe" },
      { { stack = "linux" }, "❌ App build failed · linux" },
      { { appDeploymentId = ID }, "❌ Deployment failed" },
    }
    for _, case in ipairs(cases) do
      case[1].status = "failed"
      assert.equal(case[2], title(job(case[1])))
    end
    assert.equal("❌ Job failed", title({ event = "job_created", data = { status = "failed" } }))
    assert.equal("🔔 Job created", title({ event = "job_created", data = {} }))
    assert.equal("🔔 Job finished", title({ event = "job_finished", data = { status = "sleeping" } }))
  end)

  it("leaves out what is null", function()
    for _, format in ipairs(FORMATS) do
      local body = webhook.format(webhook.events.job_finished({ id = ID, status = "failed" }), format)
      assert.is_nil(body:find("Build", 1, true), body)
      assert.is_nil(body:gsub('"contentUrl":null', ""):find("null", 1, true), body)
    end
  end)

  it("shows short ids in code style, and times in the reader's zone where the service can", function()
    local event = sample.job_finished()
    local slack, discord, teams = webhook.format(event, "slack"), webhook.format(event, "discord"),
      webhook.format(event, "teams")
    assert.truthy(slack:find("*Job*\\n`16555c02`", 1, true))
    assert.truthy(slack:find("<!date^1771143256^{date_short_pretty} at {time}|2026-02-15 08:14 UTC>", 1, true))
    assert.truthy(discord:find('"value":"`16555c02`"', 1, true))
    assert.truthy(discord:find('"value":"<t:1771143256:f>"', 1, true))
    assert.truthy(discord:find('"timestamp":"2026-02-15T08:14:44.003Z"', 1, true))
    assert.truthy(teams:find('{"title":"Job","value":"16555c02"}', 1, true))
    assert.truthy(teams:find('{"title":"Created","value":"2026-02-15 08:14 UTC"}', 1, true))
    for _, body in ipairs({ slack, discord, teams }) do assert.is_nil(body:find(ID, 1, true)) end
  end)

  it("has the colour of its severity", function()
    for status, color in pairs({ succeeded = 0x2ecc71, failed = 0xe74c3c, rejected = 0xf1c40f, in_progress = 0x3498db,
      canceled = 0x95a5a6 }) do
      local event = job({ status = status })
      assert.equal(color, rules.discord((webhook.format(event, "discord"))).embeds[1].color)
      assert.equal(("#%06X"):format(color), rules.slack((webhook.format(event, "slack"))).attachments[1].color)
    end
  end)

  it("survives fields of the wrong type", function()
    local wrong = { 5, 0.5, true, cjson.null, { 1, 2 }, { a = 1 }, "x" }
    for _, value in ipairs(wrong) do
      for _, name in ipairs({ "job_created", "job_finished", "app_build_created", "app_deployment_created" }) do
        local data = {}
        for _, field in ipairs({ "id", "status", "stack", "platform", "appId", "createdAt", "finishedAt", "createdBy", "gitRef",
          "totalTimeInSeconds", "rolloutPercentage", "packageName", "appChannelName" }) do data[field] = value end
        for _, format in ipairs(FORMATS) do rules[format]((webhook.format({ event = name, data = data }, format))) end
      end
    end
  end)
end)

describe("a build's and a deployment's message", function()
  it("says what was made, for which platform, in which version", function()
    local build = webhook.events.app_build_created({ id = ID, platform = "ios", packageVersion = "1.2.3",
      packageName = "com.example.app", numberAsString = "45", gitRef = "main", type = "app-store", createdAt = TIME })
    assert.equal("📦 Native build created · iOS · 1.2.3", title(build))
    assert.equal("Build 45 of com.example.app from main.", lines(build)[2])
    assert.is_true(has_line(build, "Type app-store"))
    assert.equal("📦 Web build created", title(webhook.events.app_build_created({ platform = "web" })))
    assert.equal("📦 Native build created · Android", title(webhook.events.app_build_created({ platform = "android" })))
    assert.equal("📦 App build created", title(webhook.events.app_build_created({})))
  end)

  it("says where it was deployed to, and for how many", function()
    local deployment = webhook.events.app_deployment_created({ id = ID, appChannelName = "Production",
      rolloutPercentage = 0.25 })
    assert.equal("🚀 Deployment created · Production", title(deployment))
    assert.equal("Rolled out to 25 %.", lines(deployment)[2])
    deployment.data.rolloutPercentage = 0.001
    assert.equal("Rolled out to less than 1 %.", lines(deployment)[2])
  end)
end)

describe("an event of the application", function()
  local number = 0
  local function define(options)
    number = number + 1
    local name = ("messages.n%d"):format(number)
    return webhook.events.define(name, options), name
  end

  it("reads well without any work", function()
    local paid = { event = "invoice_paid_at_last", data = { amount = 12.5, customerName = "Größe & Co", invoiceId = "2026-117",
      paid = true, paidAt = TIME, waitInSeconds = 7500, nested = { a = 1 }, nothing = cjson.null, empty = "" } }
    assert.equal("🔔 Invoice paid at last", title(paid))
    assert.equal("invoice_paid_at_last · 2026-02-15 08:14 UTC", lines(paid)[#lines(paid)])
    for _, line in ipairs({ "Amount 12.5", "Customer name Größe & Co", "Invoice ID 2026-117", "Paid yes", "Wait 2 h 5 min",
      "Paid at 2026-02-15 08:14 UTC" }) do assert.is_true(has_line(paid, line), line) end
    for _, line in ipairs(lines(paid)) do
      assert.is_nil(line:find("Nested") or line:find("Nothing") or line:find("Empty"), line)
    end
  end)

  it("shows its scalar fields in the order of the payload", function()
    local build = define({ fields = { { "zeta", "string" }, { "alpha", "string" }, { "mid", "number" } } })
    local list = lines(build({ zeta = "z", alpha = "a", mid = 1 }))
    assert.truthy(list[2]:find("Zeta") and list[3]:find("Alpha") and list[4]:find("Mid"))
  end)

  it("says more with templates", function()
    local build = define({ fields = { { "id", "string" }, { "customer", "table" }, { "at", "integer" }, { "level", "string" } },
      title = "Invoice {id} of {customer.name} {{{customer.tags.2}}}", text = "Paid.\nThanks, {customer.name}!",
      severity = "{level}", link = "https://x.example/{id}?c={customer.name}",
      show = { "id", { "Customer", "{customer.name}" }, { "None", "{customer.none}" } } })
    local event = build({ id = "7/8", customer = { name = "A & B", tags = { "x", "y" } }, level = "warning" })
    local list = lines(event)
    assert.equal("⚠️ Invoice 7/8 of A & B {y}", list[1])
    assert.equal("Thanks, A & B!", list[3])
    assert.is_true(has_line(event, "ID 7/8") and has_line(event, "Customer A & B"))
    assert.is_true(has_line(event, "https://x.example/7%2F8?c=A%20%26%20B"))
    assert.is_false(has_line(event, "None"))
  end)

  it("says more with functions, which may leave a part out", function()
    local build = define({
      title = function(data) return "{literal} " .. data.n end, text = function() end,
      severity = function(data) return data.n > 1 and "failure" or "success" end,
      link = function() end, show = { { "N", function(data) return data.n end }, { "Gone", function() end },
        { "Yes", function() return true end } } })
    assert.is_function(build)
    local name = ("messages.n%d"):format(number)
    local list = lines({ event = name, data = { n = 2 } })
    assert.equal("❌ {literal} 2", list[1])
    assert.equal("✅ {literal} 1", title({ event = name, data = { n = 1 } }))
    assert.is_true(has_line({ event = name, data = { n = 2 } }, "N 2"))
    assert.is_true(has_line({ event = name, data = { n = 2 } }, "Yes true"))
  end)

  it("whose function fails is a clear error, and nothing is sent", function()
    local hooks = assert(webhook.open(":memory:"))
    for part, wanted in pairs({ title = "title: ", text = "text: ", severity = "severity: ", link = "link: " }) do
      local build, name = define({ [part] = function() error("boom") end })
      local event = build({})
      assert.is_string((webhook.format(event, "raw"))) -- needs none of it
      for _, call in ipairs({ function() return webhook.format(event, "slack") end,
        function() return webhook.preview(event, "slack") end, function() return hooks:emit(event) end,
        function() return hooks:emit_all({ event }) end }) do
        local result, message, code = call()
        assert.is_nil(result)
        assert.equal("invalid_event", code)
        assert.truthy(message:find(name .. ": " .. wanted, 1, true) and message:find("boom", 1, true), message)
      end
    end
    local build = define({ show = { { "X", function() return {} end } } })
    local _, message = webhook.format(build({}), "slack")
    assert.truthy(message:find("show[1]: the function returned a table, not a string", 1, true), message)
    build = define({ fields = { { "level", "string" } }, severity = "{level}" })
    _, message = webhook.format(build({ level = "loud" }), "slack")
    assert.truthy(message:find("severity: 'loud' is none of", 1, true), message)
    assert.equal(0, hooks:stats().events)
    hooks:close()
  end)

  it("is checked when it is defined", function()
    local fields = { { "amount", "number" } }
    local wrong = {
      { "unknown field 'amout' (did you mean 'amount'?)", { fields = fields, title = "{amout}" } },
      { "unknown field 'amout' (did you mean 'amount'?)", { fields = fields, show = { "amout" } } },
      { "unknown field 'x'", { fields = fields, show = { { "L", "{x.y}" } } } },
      { "'{' without a field name", { title = "a { b" } },
      { "'{' without a field name", { title = "{}" } },
      { "'}' without '{'", { text = "a } b" } },
      { "unknown severity 'sucess' (did you mean 'success'?)", { severity = "sucess" } },
      { "show[1]: a field's name, or { label, template or function } expected", { show = { { "x" } } } },
      { "option 'title' must be string or function, got number", { title = 5 } },
      { "longer than 4096 bytes", { title = ("x"):rep(4097) } },
    }
    for _, case in ipairs(wrong) do
      raises(case[1], function()
        webhook.events.define("messages.never", case[2])
      end)
      assert.is_false(webhook.events.is_known("messages.never"))
    end
  end)

  it("and one of the four can be told how to read", function()
    finally(function() webhook.events.present("app_build_created", {}) end)
    webhook.events.present("app_build_created", { link = "https://x.example/{id}", title = "Built {packageName}" })
    local event = webhook.events.app_build_created({ id = ID, packageName = "app", type = "debug" })
    assert.equal("📦 Built app", title(event))
    assert.is_true(has_line(event, "https://x.example/" .. ID) and has_line(event, "Type debug"))
    raises("unknown event 'app_build_create' (did you mean 'app_build_created'?)", function()
      webhook.events.present("app_build_create", {})
    end)
    raises("unknown field 'idd'", function() webhook.events.present("app_build_created", { title = "{idd}" }) end)
  end)

  it("is the same raw bytes however it reads", function()
    local build = define({ fields = { { "n", "integer" } }, title = "N {n}" })
    local body = webhook.format(build({ n = 1 }), "raw")
    assert.equal(('{"event":"messages.n%d","data":{"n":1}}'):format(number), body)
  end)
end)

describe("a format", function()
  it("has its content type", function()
    local event = sample.job_finished()
    for format, expected in pairs({ raw = "application/json", slack = "application/json", discord = "application/json",
      teams = "application/json; charset=utf-8" }) do
      local body, content_type = webhook.format(event, format)
      assert.equal(expected, content_type)
      assert.is_string(body)
    end
  end)

  it("that is unknown raises, with a suggestion", function()
    raises("unknown format 'slak' (did you mean 'slack'?)", function() webhook.format(sample.job_finished(), "slak") end)
    raises("unknown format 'slak' (did you mean 'slack'?)", function() webhook.preview(sample.job_finished(), "slak") end)
    raises("an event { event = name, data = {…} } expected", function() webhook.preview("x", "slack") end)
  end)

  it("gives back no more than it says", function()
    assert.equal(2, select("#", webhook.format(sample.job_finished(), "slack")))
    assert.equal(1, select("#", webhook.preview(sample.job_finished(), "slack")))
  end)

  it("cannot carry what JSON cannot", function()
    local body, message, code = webhook.format({ event = "x", data = { f = print } }, "slack")
    assert.is_nil(body)
    assert.equal("data.f: cannot encode a function", message)
    assert.equal("invalid_event", code)
  end)
end)
